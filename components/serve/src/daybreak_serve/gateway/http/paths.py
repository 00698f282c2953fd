"""Paths as people put them together: a slash at the end is none, and what is not there is told with what is.

A redirect would do for browsers; what posts a completion mostly follows none, or loses its body on the way.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from daybreak_serve.gateway.http.answers import as_json
from daybreak_serve.gateway.http.problems import ApiProblem

SHOWN_CHARACTERS = 100
SPOKEN = (
    "completions are asked at POST /v1/completions, conversations at POST /v1/chat/completions, the model at "
    "GET /v1/models; GET /openapi.json describes them"
)


class TidyPaths:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on without slashes at the end of its path."""
        if scope["type"] == "http" and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        await self._app(scope, receive, send)


def body_of(problem: ApiProblem, path: str) -> bytes:
    """Return a problem as who asks at this path reads it: Ollama's own packages print ``error`` as the text that it is.

    >>> body_of(ApiProblem(401, "no"), "/api/chat")
    b'{"error":"no"}'
    """
    if path.split("/")[-2:-1] == ["api"]:
        return as_json({"error": problem.message})
    return problem.body()


def problem_of(status: int, method: str, path: str, allowed: str | None) -> ApiProblem:
    """Return why nothing answers here, and what does."""
    shown = path[:SHOWN_CHARACTERS]
    if status == 405 and allowed:
        return ApiProblem(status, f"{shown} takes {allowed}, not {method}", code="method_not_allowed")
    message = f"nothing answers {method} {shown} here: {SPOKEN}"
    return ApiProblem(status, message, code="not_found" if status == 404 else None)
