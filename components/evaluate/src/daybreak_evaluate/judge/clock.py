"""How much time a sample has used, told so that a busy machine changes nothing.

Owns the three clocks of a sample: processor time of each process, wall time, and the time spent waiting for a core
(which is the machine's fault, not the candidate's). Limits and their reasons are in ADR 0005.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

OWN_TIME_FACTOR, OWN_TIME_EXTRA_S = 1.25, 0.25
"""Own time may exceed the limit a little: it holds page faults and hand-overs that processor time does not."""
WALL_FACTOR, WALL_EXTRA_S = 20.0, 10.0
"""Backstop for machines whose kernel does not tell waiting times, or that stand still."""
DOUBTFUL_WAIT = 0.1
"""Waited for a core for more than this share of the limit: a limit of wall time may be the machine's fault."""


@dataclass(frozen=True)
class Spent:
    """Seconds used by a sample so far."""

    wall_s: float
    cpu_s: float
    """The larger of the two sides' processor times."""
    waited_s: float | None
    """Time that the two wanted a core and had none; None where the kernel does not say."""
    num_tasks: int = 1
    """Threads and processes of the candidate now."""

    def is_over(self, limit_s: float) -> bool:
        """Tell whether the sample has used up its time."""
        if self.cpu_s >= limit_s or self.wall_s >= longest_s(limit_s):
            return True
        own_s = self.wall_s - (self.waited_s or 0.0)
        allowed_s = limit_s * OWN_TIME_FACTOR + OWN_TIME_EXTRA_S
        return own_s >= (allowed_s if self.waited_s is not None else 4 * allowed_s)

    def is_doubtful(self, limit_s: float) -> bool:
        """Tell whether only the wall clock says so, on a machine that was busy."""
        waited = self.waited_s is None or self.waited_s > DOUBTFUL_WAIT * limit_s
        return self.cpu_s < limit_s and waited


def longest_s(limit_s: float) -> float:
    """Return the wall time after which any sample is over."""
    return limit_s * WALL_FACTOR + WALL_EXTRA_S


@dataclass(frozen=True)
class TaskReading:
    """One look at the tasks (threads) of a sample's processes."""

    at_s: float
    cpu_s: float
    """Processor time of all the processes."""
    waits: Mapping[int, float | None]
    """Task id to the time that it has waited for a core since it began; None where the kernel does not say."""
    wants_core: bool = False
    """Some task was running or waiting for a core at this moment."""


def held_up(before: TaskReading, after: TaskReading) -> float | None:
    """Return how long between two looks the processes wanted a core that they did not get; None for unknown.

    The first task often sleeps until another is done, so every task counts; two that wait at once count once at most:
    no more than the time between the looks. A task that ended between them took its number along. Where tasks came or
    went and one still wants a core, all the time that nobody ran is taken for waiting.
    """
    span = max(after.at_s - before.at_s, 0.0)
    waited = 0.0
    for task, total in after.waits.items():
        earlier = before.waits.get(task, 0.0)
        if total is None or earlier is None:
            return None
        waited += max(total - earlier, 0.0)
    if after.wants_core and after.waits.keys() != before.waits.keys():
        waited = max(waited, span - (after.cpu_s - before.cpu_s))
    return min(max(waited, 0.0), span)


@dataclass
class ProcessTree:
    """Processor time of a process and all that descend from it; what has ended keeps what it was last seen with."""

    pid: int
    used_before_s: float = 0.0
    _used: dict[int, float] = field(default_factory=dict)
    tasks: list[tuple[int, int]] = field(default_factory=list)
    """Process and task ids that live now."""

    def look(self) -> None:
        """Read the tree again."""
        self.tasks = []
        waiting, seen = [self.pid], set()
        while waiting:
            pid = waiting.pop()
            if pid in seen:
                continue
            seen.add(pid)
            self._used[pid] = max(_cpu_s(pid), self._used.get(pid, 0.0))
            for task in _tasks(pid):
                self.tasks.append((pid, task))
                waiting += _children(pid, task)

    @property
    def cpu_s(self) -> float:
        """Processor time since the sample began."""
        return sum(self._used.values()) - self.used_before_s


class SampleClock:
    """Reads the clocks of one sample: its candidate's, and its tester's since the sample began."""

    def __init__(self, tester: int) -> None:
        self._trees = [ProcessTree(tester, _cpu_s(tester))]
        self._started_s = 0.0
        self._waited_s: float | None = 0.0
        self._last: TaskReading | None = None

    @property
    def started(self) -> bool:
        """The candidate's process is there, and its time has begun."""
        return self._last is not None

    def watch(self, candidate: int) -> None:
        """Begin: the sample's wall time counts from its candidate's start."""
        self._trees.append(ProcessTree(candidate))
        self._started_s = time.monotonic()
        self._last = self._look(self._started_s)

    def read(self, now: float) -> Spent:
        """Return what has been used until now."""
        assert self._last is not None, "the candidate has not been started"
        reading = self._look(now, self._last)
        waited = held_up(self._last, reading)
        self._waited_s = None if waited is None or self._waited_s is None else self._waited_s + waited
        self._last = reading
        cpu_s = max(tree.cpu_s for tree in self._trees)
        return Spent(now - self._started_s, cpu_s, self._waited_s, len(self._trees[-1].tasks))

    def _look(self, now: float, last: TaskReading | None = None) -> TaskReading:
        for tree in self._trees:
            tree.look()
        tasks = [pair for tree in self._trees for pair in tree.tasks]
        waits = _waits(tasks)
        changed = last is not None and last.waits.keys() != waits.keys()
        wants_core = changed and any(_wants_core(pid, task) for pid, task in tasks)
        return TaskReading(now, sum(tree.cpu_s for tree in self._trees), waits, wants_core)


def _read(path: str) -> bytes:
    """Read a small file of /proc; many times a second, so without the layers of a file object."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 16)
    finally:
        os.close(descriptor)


def _tasks(pid: int) -> Iterator[int]:
    try:
        with os.scandir(f"/proc/{pid}/task") as entries:
            yield from [int(entry.name) for entry in entries]
    except OSError:
        return  # it is gone


def _children(pid: int, task: int) -> list[int]:
    try:
        return [int(word) for word in _read(f"/proc/{pid}/task/{task}/children").split()]
    except OSError:
        return []  # it is gone, or the kernel does not tell children


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process, all threads: clock id as made by <linux/posix-timers.h>."""
    try:
        return time.clock_gettime(((~pid) << 3) | 2)
    except OSError:
        return 0.0  # it is gone, or not yet to be seen


def _waits(tasks: Iterable[tuple[int, int]]) -> dict[int, float | None]:
    """Return the run-queue delay of each task that lives: second number of its schedstat, in nanoseconds."""
    waits: dict[int, float | None] = {}
    for pid, task in tasks:
        try:
            waits[task] = int(_read(f"/proc/{pid}/task/{task}/schedstat").split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            if Path(f"/proc/{pid}/task/{task}").exists():  # it lives, so the kernel does not say
                waits[task] = None
    return waits


def _wants_core(pid: int, task: int) -> bool:
    """Tell whether a task is running or waiting for a core: the letter behind its name in its stat."""
    try:
        return _read(f"/proc/{pid}/task/{task}/stat").rpartition(b")")[2].split()[0] == b"R"
    except (OSError, IndexError):
        return False
