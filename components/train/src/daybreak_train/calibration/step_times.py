"""The time of each step of a calibration, and the range of speeds that they show.

Loads neither torch nor Composer: the arithmetic is tried without them.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any


class StepClock:
    """Notes when each step ended: the train step tells of each."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def note(self, state: Mapping[str, Any]) -> None:
        """Note the time of a step; its words are for nobody."""
        if state["total"]:
            self.times.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Return the seconds of each step, from the second on."""
        return [later - earlier for earlier, later in itertools.pairwise(self.times)]


WARM_STEPS, WARM_S = 4, 4.0
"""At the beginning caches, threads and the allocator find their size, and what makes batches ahead starts on the same
cores: measured with steps of 0.08 s, the first two seconds of them took up to eight times as long."""


def warm(seconds: Sequence[float]) -> Sequence[float]:
    """Return the steps after the first four and the first four seconds, at least the second half.

    >>> warm([3.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    [1.0, 1.0, 1.0]
    """
    passed = list(itertools.accumulate(seconds))
    begin = max(WARM_STEPS - 1, sum(at < WARM_S for at in passed))
    return seconds[min(begin, len(seconds) // 2) :]


def speeds(seconds: Sequence[float], tokens: int) -> tuple[float, float, float]:
    """Return tokens per second as (p10, mean, p90) of steps of so many ``tokens``, in that order of size.

    The mean is over all time, as a whole training's is. One step that took longer than all others together
    puts it below the tenth percentile: then the range begins at it.
    """
    ordered = sorted(seconds)
    mean = tokens * len(ordered) / sum(ordered)
    slow = tokens / ordered[int(0.9 * (len(ordered) - 1))]
    fast = tokens / ordered[int(0.1 * (len(ordered) - 1))]
    return min(slow, mean), mean, max(fast, mean)
