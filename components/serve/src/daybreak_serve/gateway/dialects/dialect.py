"""What a dialect is to the gateway. Owns the seam only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from daybreak_serve.gateway.http.answers import CompletionIdentity, Usage
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import CompletionRequest, RequestLimits


@dataclass(frozen=True)
class RequestHeaders:
    """Headers that say something about a completion."""

    file: str | None = None
    prompt: str | None = None


@dataclass(frozen=True)
class CompletionChoice:
    """A text, or a piece of one."""

    index: int
    text: str
    finish_reason: str | None
    is_first: bool = False
    """The first piece of its text in a stream."""


class Dialect(Protocol):
    """One way of asking."""

    name: str
    """Label of its requests in log and metrics."""
    stream_type: bytes
    """Of its streams; that of a whole answer is JSON."""

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Return the request of a body, or raise an `ApiProblem` that names the client's own fields."""

    def whole(self, identity: CompletionIdentity, choices: Sequence[CompletionChoice], usage: Usage) -> bytes:
        """Return the answer to a request that does not stream."""

    def piece(self, identity: CompletionIdentity, choice: CompletionChoice, *, with_usage: bool) -> bytes:
        """Return one event of a stream."""

    def end(self, identity: CompletionIdentity, usage: Usage, *, with_usage: bool) -> bytes:
        """Return what ends a stream."""

    def problem(self, problem: ApiProblem) -> bytes:
        """Return a problem as the client reads it."""
