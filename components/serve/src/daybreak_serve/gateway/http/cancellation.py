"""Cancellation of a request in flight, and of an earlier one when a newer one comes.

A request is cancelled for two reasons: its client disconnected, or sent a newer one for the same file. Owns no
transport.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

Stage = Literal["queue", "prefill", "decode"]
CancelReason = Literal["disconnected", "superseded"]


class Cancellation:
    """One request in flight, from its parsing to its last byte."""

    def __init__(self) -> None:
        self.stage: Stage = "queue"
        self.num_tokens = 0
        """Tokens that the engine made for it."""
        self.cancelled: CancelReason | None = None
        self._abort: Callable[[], object] | None = None
        self.on_given_up: Callable[[], object] | None = None
        """Called when it is given up, in whatever stage; it does not stop anything."""

    def on_cancel(self, abort: Callable[[], object]) -> None:
        """Set what stops the present stage. It makes the waiting coroutine see ``CancelledError``."""
        self._abort = abort
        if self.cancelled:
            abort()

    def cancel(self, reason: CancelReason) -> None:
        """Give the request up; the first reason counts."""
        if self.cancelled is None:
            self.cancelled = reason
            if self.on_given_up is not None:
                self.on_given_up()
            if self._abort is not None:
                self._abort()


class CancellationGroup:
    """All texts of one exchange: they are given up together."""

    def __init__(self, members: Sequence[Cancellation]) -> None:
        self._members = tuple(members)

    @property
    def cancelled(self) -> CancelReason | None:
        """Why, if it was."""
        return next((member.cancelled for member in self._members if member.cancelled), None)

    def cancel(self, reason: CancelReason) -> None:
        """Give all up."""
        for member in self._members:
            member.cancel(reason)


class Supersession:
    """The latest request of each (user, file). A newer one gives the earlier one up."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], CancellationGroup] = {}

    def register(self, user: str | None, file: str | None, cancellation: CancellationGroup) -> None:
        """Register a request; without user or file nothing can be said and nothing is given up."""
        if user is None or file is None:
            return
        earlier = self._latest.get((user, file))
        self._latest[user, file] = cancellation
        if earlier is not None:
            earlier.cancel("superseded")

    def unregister(self, user: str | None, file: str | None, cancellation: CancellationGroup) -> None:
        """Forget a request that has ended."""
        if user is not None and file is not None and self._latest.get((user, file)) is cancellation:
            del self._latest[user, file]
