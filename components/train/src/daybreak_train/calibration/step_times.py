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
