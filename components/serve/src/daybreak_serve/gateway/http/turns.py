"""Work that is done for one request at a time, and how long others wait for it: never without a bound."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from daybreak_serve.gateway.http import problems


class Turn:
    """One turn that many want. ``what`` says of what there are too many."""

    def __init__(self, what: str, *, wait_s: float, max_waiting: int) -> None:
        self._what = what
        self._wait_s = wait_s
        self._max_waiting = max_waiting
        self._num_waiting = 0
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Take the turn; who would wait behind too many, or for too long, is told to come again."""
        if self._num_waiting >= self._max_waiting:
            raise self._busy(f"{self._num_waiting} {self._what} wait already")
        self._num_waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._lock.acquire()
        except TimeoutError as error:
            raise self._busy(f"other {self._what} took {self._wait_s:g} s") from error
        finally:
            self._num_waiting -= 1
        try:
            yield
        finally:
            self._lock.release()

    def _busy(self, reason: str) -> problems.ApiProblem:
        return problems.busy(reason, max(1, round(self._wait_s)))
