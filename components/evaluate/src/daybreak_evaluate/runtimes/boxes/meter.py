"""What the processes of a box use together: processor time, waiting for a core, memory.

Owns reading /proc for a tree of processes. Limits of time and what a busy machine changes are the judge's
(``judge.clock``, decision 0005).
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from daybreak_evaluate.judge.clock import Spent

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class BoxUsage:
    """A box at one moment."""

    spent: Spent
    memory_bytes: int
    processes: int


class TreeMeter:
    """Reads one process and all its descendants; what ended keeps what it was last seen with."""

    def __init__(self, pid: int, now: float) -> None:
        self._pid = pid
        self._started = now
        self._cpu_s: dict[int, float] = {}
        self._waited_s: dict[int, float] = {}
        self._last = now
        self._busy_wait_s = 0.0

    def read(self, now: float) -> BoxUsage:
        """Return what has been used until now."""
        memory = count = 0
        living_s = 0.0
        waiting = [self._pid]
        waited_before = sum(self._waited_s.values())
        while waiting:
            pid = waiting.pop()
            count += 1
            cpu_s, pages = _numbers(pid)
            living_s += cpu_s + _reaped_s(pid)
            self._cpu_s[pid] = max(cpu_s, self._cpu_s.get(pid, 0.0))
            memory += pages * PAGE_BYTES
            for task in _tasks(pid):
                self._waited_s[task] = max(_waited_s(pid, task), self._waited_s.get(task, 0.0))
                waiting += _children(pid, task)
        waited = sum(self._waited_s.values()) - waited_before
        self._busy_wait_s += min(waited, now - self._last)  # threads that wait at once count once
        self._last = now
        cpu_s = max(sum(self._cpu_s.values()), living_s)  # some came and went between two looks
        spent = Spent(now - self._started, cpu_s, self._busy_wait_s)
        return BoxUsage(spent, memory, count)


def _numbers(pid: int) -> tuple[float, int]:
    """Return processor seconds, by the finest clock there is, and resident pages."""
    try:
        seconds = time.clock_gettime(((~pid) << 3) | 2)
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0, 0
    return seconds, pages


def _reaped_s(pid: int) -> float:
    """Return the processor time of ended children that were waited for: cutime and cstime of proc(5)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return (int(fields[13]) + int(fields[14])) / TICKS_PER_S
    except (OSError, IndexError, ValueError):
        return 0.0


def _tasks(pid: int) -> list[int]:
    try:
        return [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return []


def _children(pid: int, task: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{task}/children").read_bytes().split()]
    except OSError:
        return []


def _waited_s(pid: int, task: int) -> float:
    """Return the run-queue delay of a task: second number of its schedstat, in nanoseconds."""
    try:
        return int(Path(f"/proc/{pid}/task/{task}/schedstat").read_bytes().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
