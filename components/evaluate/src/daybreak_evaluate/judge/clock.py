"""How much time a sample has used, told so that a busy machine changes nothing.

Owns the three clocks of a sample: processor time of each process, wall time, and the time spent waiting for a core
(which is the machine's fault, not the candidate's). Limits and their reasons are in ADR 0005.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
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
    """The larger of the two processes' processor times."""
    waited_s: float | None
    """Time that the two wanted a core and had none; None where the kernel does not say."""

    def is_over(self, limit_s: float) -> bool:
        """Tell whether the sample has used up its time."""
        if self.cpu_s >= limit_s or self.wall_s >= limit_s * WALL_FACTOR + WALL_EXTRA_S:
            return True
        own_s = self.wall_s - (self.waited_s or 0.0)
        allowed_s = limit_s * OWN_TIME_FACTOR + OWN_TIME_EXTRA_S
        return own_s >= (allowed_s if self.waited_s is not None else 4 * allowed_s)

    def is_doubtful(self, limit_s: float) -> bool:
        """Tell whether only the wall clock says so, on a machine that was busy."""
        waited = self.waited_s is None or self.waited_s > DOUBTFUL_WAIT * limit_s
        return self.cpu_s < limit_s and waited


class SampleClock:
    """Reads the clocks of one sample: its candidate's, and its tester's since the sample began."""

    def __init__(self, tester: int) -> None:
        self._started = time.monotonic()
        self._pids = [tester]
        self._before = {tester: (_cpu_s(tester), _waited_s(tester))}

    def watch(self, candidate: int) -> None:
        """Begin with the candidate's clock; the sample's wall time counts from its start."""
        self._pids.append(candidate)
        self._before[candidate] = (0.0, 0.0)
        self._started = time.monotonic()

    def read(self, now: float) -> Spent:
        """Return what has been used until now."""
        cpu_s = max(_cpu_s(pid) - self._before[pid][0] for pid in self._pids)
        waits = [self._waited_since(pid) for pid in self._pids]
        known = [wait for wait in waits if wait is not None]
        waited_s = sum(known) if len(known) == len(waits) else None
        return Spent(now - self._started, cpu_s, waited_s)

    def _waited_since(self, pid: int) -> float | None:
        before, now = self._before[pid][1], _waited_s(pid)
        return None if before is None or now is None else now - before


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process, all threads: clock id as made by <linux/posix-timers.h>."""
    try:
        return time.clock_gettime(((~pid) << 3) | 2)
    except OSError:
        return 0.0  # it is gone, or not yet to be seen


def _waited_s(pid: int) -> float | None:
    """Return the run-queue delay of a process: second number of /proc/<pid>/schedstat, in nanoseconds."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_bytes().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return None
