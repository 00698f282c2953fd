"""What the gateway answers when it cannot complete: status, OpenAI's error object, headers. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

IS_GONE = ("Stub process", "has no available versions", "the engine stops", "is not ready")
"""What Triton says of a request when its Python process died or when it ends itself (measured with 2.51)."""
BUSY = "engine_busy"
ENGINE_DOWN = "engine_down"
NO_ENGINE = "no_engine"
WAKING = "waking"
RETRY_AFTER_S = 1
"""Seconds, where nothing better is known."""
RESTART_S = 5
"""About what an engine takes to start again."""


@dataclass(eq=False)
class ApiProblem(Exception):  # noqa: N818 - it is an answer, not always an error
    """An answer other than 200. ``type``, ``param`` and ``code`` are OpenAI's fields."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    code: str | None = None
    retry_after_s: int = RETRY_AFTER_S
    """When it is worth to come again, for 429 and 503."""

    def __str__(self) -> str:
        return self.message

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer: who may come again is told when, who has no credential of which kind it must be."""
        if self.status == 401:
            return {"www-authenticate": "Bearer"}
        return {"retry-after": str(self.retry_after_s)} if self.status in (429, 503) else {}

    def document(self) -> dict[str, object]:
        """Return OpenAI's error shape."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": error}

    def body(self) -> bytes:
        """Return the document as JSON."""
        return json.dumps(self.document(), separators=(",", ":")).encode()


def invalid(message: str, param: str | None = None) -> ApiProblem:
    """Return 400 for a request that can never be answered."""
    return ApiProblem(400, message, param=param)


def renamed(problem: ApiProblem, words: Mapping[str, str]) -> ApiProblem:
    """Return a problem in the words of the client's protocol, given by ours.

    >>> renamed(invalid("stop must be a string", "stop"), {"stop": "stop_sequences"}).message
    'stop_sequences must be a string'
    """
    name = words.get(problem.param or "")
    if name is None:
        return problem
    return replace(problem, message=problem.message.replace(str(problem.param), name, 1), param=name)


def busy(reason: str, retry_after_s: int) -> ApiProblem:
    """Return 429: more requests than the engine takes."""
    return ApiProblem(429, reason, "rate_limit_error", code=BUSY, retry_after_s=retry_after_s)


def engine_down(reason: str) -> ApiProblem:
    """Return 503: no engine answers."""
    return ApiProblem(503, reason, "service_unavailable", code=ENGINE_DOWN, retry_after_s=RESTART_S)


def no_engine(reason: str) -> ApiProblem:
    """Return 503: there is no engine to ask."""
    return ApiProblem(503, reason, "service_unavailable", code=NO_ENGINE, retry_after_s=RESTART_S)


def waking(reason: str, retry_after_s: int) -> ApiProblem:
    """Return 503: the model slept, and its first engine is not up yet."""
    return ApiProblem(503, reason, "service_unavailable", code=WAKING, retry_after_s=retry_after_s)


def engine_failed(reason: str) -> ApiProblem:
    """Return 500 for an error of the engine; 503 when Triton says that the engine is gone."""
    if any(words in reason for words in IS_GONE):
        return engine_down(f"the engine's process is gone: {reason}")
    return ApiProblem(500, f"the engine failed: {reason}", "server_error", code="engine_error")


def cancelled(reason: str) -> ApiProblem:
    """Return 499, the code that nginx uses for requests whose client disconnected."""
    return ApiProblem(499, reason, "cancelled", code="superseded")
