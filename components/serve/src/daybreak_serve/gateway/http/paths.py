"""Paths as people put them together: a slash at the end is none, and what is not there is told with what is.

A redirect would do for browsers; what posts a completion mostly follows none, or loses its body on the way.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from daybreak_serve.gateway.http.answers import as_json
from daybreak_serve.gateway.http.problems import ApiProblem

SHOWN_CHARACTERS = 100
ANTHROPIC_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}
SPOKEN = (
    "completions are asked at POST /v1/completions, conversations at POST /v1/chat/completions, /v1/responses or "
    "/v1/messages, the model at GET /v1/models; GET /openapi.json describes them"
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
    parts = path.split("/")
    if parts[-2:-1] == ["api"]:
        return as_json({"error": problem.message})
    if "messages" in parts[-2:]:
        return anthropic(problem)
    return problem.body()


def anthropic(problem: ApiProblem) -> bytes:
    """Return a problem as Anthropic's packages read it."""
    kind = ANTHROPIC_TYPES.get(problem.status, "api_error")
    return as_json({"type": "error", "error": {"type": kind, "message": problem.message}})


def problem_of(status: int, method: str, path: str, allowed: str | None) -> ApiProblem:
    """Return why nothing answers here, and what does."""
    shown = path[:SHOWN_CHARACTERS]
    if status == 405 and allowed:
        return ApiProblem(status, f"{shown} takes {allowed}, not {method}", code="method_not_allowed")
    message = f"nothing answers {method} {shown} here: {SPOKEN}"
    return ApiProblem(status, message, code="not_found" if status == 404 else None)
