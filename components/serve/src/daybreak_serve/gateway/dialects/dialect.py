"""What a dialect is to the gateway. Owns the seam only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from daybreak_serve.gateway.http.answers import CompletionIdentity, Usage, framed
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
    position: int = 0
    """Pieces of its text that a stream had before this one; at the stream's end, all of them."""
    prompt_tokens: int = 0
    """Of the prompt that it answers."""
    stop: str | None = None
    """The asked stop string that ended it; None where nothing, or something else, did."""

    @property
    def is_first(self) -> bool:
        """Whether a stream begins with it."""
        return self.position == 0


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

    def end(
        self,
        identity: CompletionIdentity,
        choices: Sequence[CompletionChoice],
        usage: Usage,
        *,
        with_usage: bool,
    ) -> bytes:
        """Return what ends a stream that told these texts."""

    def problem(self, problem: ApiProblem) -> bytes:
        """Return a problem as the client reads it."""

    def broken(self, identity: CompletionIdentity, problem: ApiProblem, position: int) -> bytes:
        """Return what ends a stream by a problem, behind so many pieces."""
        return framed(self.problem(problem), self.stream_type)
