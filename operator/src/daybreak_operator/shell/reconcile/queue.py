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

from daybreak_contracts.list_watch import BackOff
from daybreak_operator.shell.watches.keys import ObjectKey, Priority

NUM_QUICK_REPEATS = 5
"""So often in a row a key may ask to be seen again at once; then it waits as if it had failed."""


HEAD_START_S = {
    Priority.NEW: 30.0,
    Priority.CHANGED: 30.0,
    Priority.EVENT: 20.0,
    Priority.LATER: 0.0,
    Priority.REQUEUE: 0.0,
}
"""A key goes before one of another reason that came this much earlier (the difference of the two).

Not strict classes: earliest deadline first starves nobody. 30 s outlast a burst of 2,000 objects at the rate that we
promise, so each is acknowledged before the first one's children are made. 20 s keep a pod that fails in such a burst
within 10 s of a new object, which is how soon a gang restart has to be decided.
"""


@dataclass
class Pace:
    """So many looks a second on average, and that many at once after a rest: a leaky bucket.

    A look takes 2 to 4 ms of processor time (``python -m tests.bench idle``). A thousand deployments want one each 5 s,
    which would be most of a core for nothing; at this pace it is a tenth: each of a thousand is looked at every 40 s,
    and up to 125 notice nothing.
    """

    per_s: float = 25.0
    _full_at: float = float("-inf")
    """When the bucket has run empty again."""

    def next_at(self) -> float:
        """Return when the next look may be taken."""
        return self._full_at - 1.0

    def took(self, now: float) -> None:
        """Count a look."""
        self._full_at = max(self._full_at, now) + 1.0 / self.per_s


class QueuedKey(NamedTuple):
    """A key's place in the queue."""

    deadline: float
    """What the order goes by: smaller first."""
    since: float
    priority: Priority


Entry = tuple[float, int, ObjectKey]
"""When, which came first, what."""


@dataclass(frozen=True)
class Done:
    """How a pass ended."""

    failed: bool = False
    again: bool = False
    """It wrote something: see at once whether that was all."""
    requeue_after_s: float | None = None
    retry_after_s: float = 0.0
    """A lower bound for the next look, asked for by the API server."""


@dataclass
class Schedule:
    """The queue's state; every method is given the time (monotonic seconds)."""

    chance: Callable[[], float]
    back_off: BackOff = field(default_factory=BackOff)
    pace: Pace = field(default_factory=Pace)
    _waiting: dict[ObjectKey, QueuedKey] = field(default_factory=dict)
    _order: tuple[list[Entry], list[Entry]] = field(default_factory=lambda: ([], []))
    """Deadlines of all but looks, and of looks; an entry whose key waits otherwise, or no more, is stale."""
    _due: list[Entry] = field(default_factory=list)
    _when: dict[ObjectKey, tuple[float, Priority]] = field(default_factory=dict)
    """The one time that counts for a key; entries of the heap with another time are stale."""
    _active: dict[ObjectKey, tuple[float, Priority]] = field(default_factory=dict)
    _dirty: dict[ObjectKey, Priority] = field(default_factory=dict)
    _in_a_row: dict[ObjectKey, int] = field(default_factory=dict)
    _count: itertools.count[int] = field(default_factory=itertools.count)
    _ended: float = float("-inf")
    """When a pass last ended."""

    def add(self, key: ObjectKey, now: float, priority: Priority = Priority.EVENT) -> None:
        """Something happened to the key: see it as soon as a worker is free; while one is at it, see it again."""
        if key in self._active:
            self._dirty[key] = min(priority, self._dirty.get(key, priority))
            return
        self._when.pop(key, None)
        known = self._waiting.get(key)
        wanted = QueuedKey(now - HEAD_START_S[priority], now if known is None else known.since, priority)
        if known is None or (wanted.deadline, priority) < (known.deadline, known.priority):
            self._waiting[key] = wanted
            heapq.heappush(self._heap(priority), (wanted.deadline, next(self._count), key))

    def add_at(self, key: ObjectKey, when: float, priority: Priority = Priority.REQUEUE) -> None:
        """See the key at a time, or earlier if it is already planned or waiting so."""
        if key in self._waiting or self._when.get(key, (float("inf"), priority))[0] <= when:
            return
        self._when[key] = (when, priority)
        heapq.heappush(self._due, (when, next(self._count), key))

    def take(self, now: float) -> ObjectKey | None:
        """Return the key to work at now, or None; it is worked at until ``done``."""
        self._ripen(now)
        work, look = (self._first(heap) for heap in self._order)
        if look is not None and self.pace.next_at() > now:
            look = None
        chosen = min((entry for entry in (work, look) if entry is not None), default=None)
        if chosen is None:
            return None
        _, _, key = chosen
        waiting = self._waiting.pop(key)
        if waiting.priority is Priority.REQUEUE:
            self.pace.took(now)
        self._active[key] = (now, waiting.priority)
        return key

    def done(self, key: ObjectKey, outcome: Done, now: float) -> None:
        """A worker ended its pass over the key."""
        _, priority = self._active.pop(key)
        self._ended = now
        dirty = self._dirty.pop(key, None)
        in_a_row = self._in_a_row.pop(key, 0) + 1
        if outcome.failed or outcome.again:
            self._in_a_row[key] = in_a_row
        waits = outcome.failed or (outcome.again and in_a_row > NUM_QUICK_REPEATS)
        if waits:
            attempt = in_a_row if outcome.failed else in_a_row - NUM_QUICK_REPEATS
            delay = max(self.back_off.delay_s(attempt, self.chance()), outcome.retry_after_s)
            self.add_at(key, now + delay, Priority.LATER)
        if outcome.requeue_after_s is not None:
            self.add_at(key, now + outcome.requeue_after_s)
        if dirty is not None:
            self.add(key, now, dirty)
        if outcome.again and not waits:
            # A new object has had its answer: what else there is to do comes after the other new ones' answers.
            self.add(key, now, Priority.LATER if priority is Priority.NEW else Priority.EVENT)

    def forget(self, key: ObjectKey) -> None:
        """The object is gone: nothing is planned for it any more."""
        self._waiting.pop(key, None)
        self._when.pop(key, None)
        self._dirty.pop(key, None)
        self._in_a_row.pop(key, None)

    def next_due(self) -> float | None:
        """Return when there is something to take although nothing happens; None when never."""
        while self._due and self._when.get(self._due[0][2], (None,))[0] != self._due[0][0]:
            heapq.heappop(self._due)
        times = [self._due[0][0]] if self._due else []
        if self._first(self._order[True]) is not None:
            times.append(self.pace.next_at())
        return min(times, default=None)

    def depth(self) -> int:
        """Keys that wait for a worker, but for looks: these wait on purpose. May be called in any thread."""
        return sum(one.priority is not Priority.REQUEUE for one in list(self._waiting.values()))

    def num_active(self) -> int:
        """Keys that are worked at."""
        return len(self._active)

    def age_s(self, now: float) -> float:
        """How long the oldest waiting key waits (but for looks), or the longest pass lasts. For any thread."""
        waiting = [one.since for one in list(self._waiting.values()) if one.priority is not Priority.REQUEUE]
        active = [began for began, _ in list(self._active.values())]
        return now - min([*waiting, *active], default=now)

    def without_progress_s(self, now: float) -> float:
        """How long no pass has ended although there is work: what a liveness probe asks.

        Age alone would end an operator that has much to do.
        """
        return min(self.age_s(now), now - self._ended)

    def _heap(self, priority: Priority) -> list[Entry]:
        return self._order[priority is Priority.REQUEUE]

    def _first(self, heap: list[Entry]) -> Entry | None:
        while heap:
            deadline, _, key = heap[0]
            waiting = self._waiting.get(key)
            if waiting is not None and waiting.deadline == deadline and self._heap(waiting.priority) is heap:
                return heap[0]
            heapq.heappop(heap)
        return None

    def _ripen(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            due, _, key = heapq.heappop(self._due)
            planned = self._when.get(key)
            if planned is not None and planned[0] == due:
                del self._when[key]
                self.add(key, due, planned[1])


class WorkQueue:
    """The schedule in one event loop. Its methods are called in the loop's thread."""

    def __init__(self, schedule: Schedule, clock: Callable[[], float]) -> None:
        self.schedule = schedule
        self._clock = clock
        self._wake = asyncio.Event()

    def add(self, key: ObjectKey, priority: Priority = Priority.EVENT) -> None:
        """See the key soon."""
        self.schedule.add(key, self._clock(), priority)
        self._wake.set()

    def age_s(self) -> float:
        """Age of the oldest work."""
        return self.schedule.age_s(self._clock())

    def without_progress_s(self) -> float:
        """How long nothing was done although there is work."""
        return self.schedule.without_progress_s(self._clock())

    async def work(self, work: Callable[[ObjectKey], Awaitable[Done]], num_workers: int) -> None:
        """Work for ever, at ``num_workers`` keys at most at the same time. ``work`` answers for its own errors."""
        async with asyncio.TaskGroup() as passes:
            while True:
                self._wake.clear()
                is_full = self.schedule.num_active() >= num_workers
                if not is_full:
                    key = self.schedule.take(self._clock())
                    if key is not None:
                        passes.create_task(self._one(key, work))
                        continue
                await self._woken(is_full)  # when all workers are busy, the next one that ends wakes us

    async def _one(self, key: ObjectKey, work: Callable[[ObjectKey], Awaitable[Done]]) -> None:
        outcome = Done(failed=True)  # what counts when the pass is cancelled
        try:
            outcome = await work(key)
        finally:
            self.schedule.done(key, outcome, self._clock())
            self._wake.set()

    async def _woken(self, is_full: bool) -> None:
        due = None if is_full else self.schedule.next_due()
        timeout = None if due is None else max(0.0, due - self._clock())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), timeout)
