"""Who may ask the engine now, who waits, who is turned away; and whose earlier request is given up.

A request is given up for two reasons: its asker went away, or asked anew for the same file. Owns no transport.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Literal

from daybreak_serve.gateway.problems import busy

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


class Admission:
    """Places in the engine and a short queue before them, first come, first served."""

    def __init__(self, max_inflight: int, max_held: int, hold_s: float) -> None:
        self.inflight = 0
        self._max_inflight = max_inflight
        self._max_held = max_held
        self._hold_s = hold_s
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def held(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    async def enter(self, ticket: Ticket) -> None:
        """Take a place, waiting up to the hold time; raise the `Problem` to answer with when there is none."""
        if self.inflight < self._max_inflight and not self._waiting:
            self.inflight += 1
            return
        if len(self._waiting) >= self._max_held:
            raise busy(f"{self.inflight} requests run and {self.held} wait, try again")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        ticket.on_cancel(place.cancel)
        mine = False
        try:
            async with asyncio.timeout(self._hold_s):
                await place
            mine = True
        except TimeoutError as error:
            raise busy(f"no place in the engine within {self._hold_s * 1000:.0f} ms, try again") from error
        finally:
            if not mine:
                self._abandon(place)

    def _abandon(self, place: asyncio.Future[None]) -> None:
        """Leave the queue; a place that was given in the moment in which the waiting ended goes on."""
        if place in self._waiting:
            self._waiting.remove(place)
        elif place.done() and not place.cancelled():
            self.leave()

    def leave(self) -> None:
        """Give the place to the next who waits."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)  # the number in flight stays: the place has a new owner
                return
        self.inflight -= 1
