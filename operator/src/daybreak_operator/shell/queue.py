"""The work queue: which key is worked at next, one worker per key, with back-off and times to look again.

Owns order and times, given from outside; ``WorkQueue`` at the end is its asyncio face. Knows nothing of Kubernetes.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

NUM_QUICK_REPEATS = 5
"""So often in a row a key may ask to be seen again at once; then it waits as if it had failed."""


class Key(NamedTuple):
    """One object that is reconciled."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True)
class BackOff:
    """Exponential, with jitter: the n-th delay lies between half of it and all of base * 2^(n-1), at most cap."""

    base_s: float = 0.5
    cap_s: float = 60.0

    def delay_s(self, attempt: int, chance: float) -> float:
        """Return the delay after ``attempt`` failures in a row (from 1); ``chance`` lies in [0, 1)."""
        whole = min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 30))
        return whole * (0.5 + chance / 2)


@dataclass(frozen=True)
class Done:
    """How a pass ended."""

    failed: bool = False
    again: bool = False
    """It wrote something: see at once whether that was all."""
    look_again_s: float | None = None
    retry_after_s: float = 0.0
    """A lower bound for the next look, asked for by the API server."""


@dataclass
class Schedule:
    """The queue's state; every method is given the time (monotonic seconds)."""

    chance: Callable[[], float]
    back_off: BackOff = field(default_factory=BackOff)
    _first: dict[Key, float] = field(default_factory=dict)
    """Keys that nobody has looked at yet: they come before all others."""
    _ready: dict[Key, float] = field(default_factory=dict)
    """Waiting keys in order, with the time since when they wait."""
    _due: list[tuple[float, int, Key]] = field(default_factory=list)
    _when: dict[Key, float] = field(default_factory=dict)
    """The one time that counts for a key; entries of the heap with another time are stale."""
    _active: dict[Key, float] = field(default_factory=dict)
    _dirty: set[Key] = field(default_factory=set)
    _in_a_row: dict[Key, int] = field(default_factory=dict)
    _count: itertools.count[int] = field(default_factory=itertools.count)
    _ended: float = float("-inf")
    """When a pass last ended."""

    def add(self, key: Key, now: float, is_new: bool = False) -> None:
        """Something happened to the key: see it as soon as a worker is free; while one is at it, see it again."""
        if key in self._active:
            self._dirty.add(key)
            return
        self._when.pop(key, None)
        if is_new and key not in self._ready:
            self._first.setdefault(key, now)
        elif key not in self._first:
            self._ready.setdefault(key, now)

    def add_at(self, key: Key, when: float) -> None:
        """See the key at a time, or earlier if it is already planned or waiting so."""
        if key in self._ready or key in self._first or self._when.get(key, float("inf")) <= when:
            return
        self._when[key] = when
        heapq.heappush(self._due, (when, next(self._count), key))

    def take(self, now: float) -> Key | None:
        """Return the key to work at now, or None; it is worked at until ``done``."""
        self._ripen(now)
        waiting = self._first or self._ready
        if not waiting:
            return None
        key = next(iter(waiting))
        del waiting[key]
        self._active[key] = now
        return key

    def done(self, key: Key, outcome: Done, now: float) -> None:
        """A worker ended its pass over the key."""
        del self._active[key]
        self._ended = now
        dirty = key in self._dirty
        self._dirty.discard(key)
        in_a_row = self._in_a_row.pop(key, 0) + 1
        if outcome.failed or outcome.again:
            self._in_a_row[key] = in_a_row
        waits = outcome.failed or (outcome.again and in_a_row > NUM_QUICK_REPEATS)
        if waits:
            attempt = in_a_row if outcome.failed else in_a_row - NUM_QUICK_REPEATS
            delay = max(self.back_off.delay_s(attempt, self.chance()), outcome.retry_after_s)
            self.add_at(key, now + delay)
        if outcome.look_again_s is not None:
            self.add_at(key, now + outcome.look_again_s)
        if dirty or (outcome.again and not waits):
            self.add(key, now)

    def forget(self, key: Key) -> None:
        """The object is gone: nothing is planned for it any more."""
        self._first.pop(key, None)
        self._ready.pop(key, None)
        self._when.pop(key, None)
        self._dirty.discard(key)
        self._in_a_row.pop(key, None)

    def next_due(self) -> float | None:
        """Return when the next planned key is due; None when none is planned."""
        while self._due and self._when.get(self._due[0][2]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self._first) + len(self._ready)

    def num_active(self) -> int:
        """Keys that are worked at."""
        return len(self._active)

    def age_s(self, now: float) -> float:
        """How long the oldest waiting key waits, or the longest pass lasts."""
        oldest = [*itertools.islice(self._first.values(), 1), *itertools.islice(self._ready.values(), 1)]
        since = min([*oldest, *self._active.values()], default=now)
        return now - since

    def without_progress_s(self, now: float) -> float:
        """How long no pass has ended although there is work: what a liveness probe asks.

        Age alone would end an operator that has much to do.
        """
        return min(self.age_s(now), now - self._ended)

    def _ripen(self, now: float) -> None:
        while (due := self.next_due()) is not None and due <= now:
            _, _, key = heapq.heappop(self._due)
            del self._when[key]
            if key in self._active:
                self._dirty.add(key)
            elif key not in self._first:
                self._ready.setdefault(key, due)


class WorkQueue:
    """The schedule in one event loop. Its methods are called in the loop's thread."""

    def __init__(self, schedule: Schedule, clock: Callable[[], float]) -> None:
        self.schedule = schedule
        self._clock = clock
        self._wake = asyncio.Event()

    def add(self, key: Key, is_new: bool = False) -> None:
        """See the key soon; one that is new before all others."""
        self.schedule.add(key, self._clock(), is_new)
        self._wake.set()

    def age_s(self) -> float:
        """Age of the oldest work."""
        return self.schedule.age_s(self._clock())

    def without_progress_s(self) -> float:
        """How long nothing was done although there is work."""
        return self.schedule.without_progress_s(self._clock())

    async def work(self, work: Callable[[Key], Awaitable[Done]], num_workers: int) -> None:
        """Work for ever, at ``num_workers`` keys at most at the same time. ``work`` answers for its own errors."""
        async with asyncio.TaskGroup() as passes:
            while True:
                self._wake.clear()
                if self.schedule.num_active() < num_workers:
                    key = self.schedule.take(self._clock())
                    if key is not None:
                        passes.create_task(self._one(key, work))
                        continue
                await self._woken()

    async def _one(self, key: Key, work: Callable[[Key], Awaitable[Done]]) -> None:
        outcome = Done(failed=True)  # what counts when the pass is cancelled
        try:
            outcome = await work(key)
        finally:
            self.schedule.done(key, outcome, self._clock())
            self._wake.set()

    async def _woken(self) -> None:
        due = self.schedule.next_due()
        timeout = None if due is None else max(0.0, due - self._clock())
        if self.schedule.depth():
            timeout = None  # all workers are busy: the next one that ends wakes us
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), timeout)
