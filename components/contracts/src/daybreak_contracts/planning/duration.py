"""How long a training takes and what it costs, with the machines' failures in it.

Owns the arithmetic of time. The middle is the likely speed and the expected failures; the ends are one time in ten:
the fast end of the speed with few failures, the slow end with many (taken together, so the range is rather too wide).
"""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict

from daybreak_contracts.planning import recipe
from daybreak_contracts.planning.throughput import Throughput

STALL_S = 1.0
"""What a checkpoint holds the training up, before it is measured: it is written beside the training."""
RECOVERY_S = 300.0
"""From a failure to the first step after it: a pod is found, the image is there, the checkpoint is read."""
P10, P90 = 0.1, 0.9


class Estimate(BaseModel):
    """A number with its range: one time in ten below ``low``, one time in ten above ``high``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> Estimate:
        """Return it in another unit."""
        return Estimate(low=self.low * factor, likely=self.likely * factor, high=self.high * factor)


def seconds_for(tokens: float, throughput: Throughput, num_gpus: int) -> Estimate:
    """Return the seconds that so many tokens take, start, checkpoints and failures included."""
    interval = recipe.checkpoint_interval(STALL_S, num_gpus)
    lost_s = RECOVERY_S + interval / 2  # on average half an interval is trained again
    stalls = 1.0 + STALL_S / interval if num_gpus else 1.0

    def seconds(speed: float, quantile: float | None) -> float:
        working = tokens / speed * stalls
        failures = working / recipe.mttf_s(num_gpus)
        if not num_gpus:
            failures = 0.0  # whoever trains on a laptop knows when it is closed
        times = failures if quantile is None else poisson_quantile(failures, quantile)
        return throughput.start_s + working + times * lost_s

    return Estimate(
        low=seconds(throughput.high, P10),
        likely=seconds(throughput.likely, None),
        high=seconds(throughput.low, P90),
    )


def poisson_quantile(mean: float, quantile: float) -> int:
    """Return the smallest count whose cumulative probability reaches the quantile.

    >>> [poisson_quantile(mean, 0.9) for mean in (0.0, 0.05, 1.0, 10.0)]
    [0, 0, 2, 14]
    """
    if mean > 500:  # the normal approximation, beyond what exp can hold
        return round(mean + 1.2816 * math.sqrt(mean) * (1 if quantile > 0.5 else -1))
    probability = math.exp(-mean)
    reached, count = probability, 0
    while reached < quantile:
        count += 1
        probability *= mean / count
        reached += probability
    return count
