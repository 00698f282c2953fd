"""One request's way, and whose earlier request is given up for a newer one.

A request is given up for two reasons: its asker went away, or asked anew for the same file. Owns no transport.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

Stage = Literal["queue", "prefill", "decode"]
CancelReason = Literal["disconnected", "superseded"]


class Ticket:
    """One request in flight, from its parsing to its last byte."""

    def __init__(self) -> None:
        self.stage: Stage = "queue"
        self.num_tokens = 0
        """Tokens that the engine made for it."""
        self.cancelled: CancelReason | None = None
        self._abort: Callable[[], object] | None = None

    def on_cancel(self, abort: Callable[[], object]) -> None:
        """Set what stops the present stage. It makes the waiting coroutine see ``CancelledError``."""
        self._abort = abort
        if self.cancelled:
            abort()

    def cancel(self, reason: CancelReason) -> None:
        """Give the request up; the first reason counts."""
        if self.cancelled is None:
            self.cancelled = reason
            if self._abort is not None:
                self._abort()


class Supersession:
    """The latest request of each (user, file). A newer one gives the earlier one up."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], Ticket] = {}

    def enter(self, user: str | None, file: str | None, ticket: Ticket) -> None:
        """Register a request; without user or file nothing can be said and nothing is given up."""
        if user is None or file is None:
            return
        earlier = self._latest.get((user, file))
        self._latest[user, file] = ticket
        if earlier is not None:
            earlier.cancel("superseded")

    def leave(self, user: str | None, file: str | None, ticket: Ticket) -> None:
        """Forget a request that has ended."""
        if user is not None and file is not None and self._latest.get((user, file)) is ticket:
            del self._latest[user, file]
