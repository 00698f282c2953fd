"""Spot traces made from a seed, shaped like the public ones: nine zones, steps of 195 seconds.

Owns the shape (how long zones are up and down, and that hard times are shared); its constants were set by eye to the
published figures of the V100 trace of February 2023, of which nothing else is in here.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from daybreak_operator.core.capacity.simulate import SPOT_PRICE, Trace

STEP_S = 195
UP_SHARES = (0.17, 0.47, 0.45, 0.59, 0.76, 0.68, 0.88, 0.90, 0.89)
"""Share of the time that each zone has capacity, worst and best zones apart by a factor of five."""
MIN_RUN = 3
"""A zone that came or went stays so for three steps at least, as in the public traces."""
LONGEST = 40_000
"""Steps that a run is taken to last at most when its mean is found."""
HARD_EVERY = 700.0
HARD_FOR = 25.0
"""Hard times, which all zones share: mean steps between them and of each."""
HARD_FALL = 12.0
HARD_COME = 0.1
"""In hard times zones fall this many times as often and come back so much less often."""
PRICE_SPREAD = 0.13
"""Zones of one region differ in price by a factor of about 1.3."""

Hazard = Callable[[int], float]


def up_hazard(age: int) -> float:
    """Return the chance that a zone which has been up for so many steps falls in the next: 0.6 / (age + 3) + 0.0015."""
    return 0.0 if age < MIN_RUN else 0.6 / (age + 3) + 0.0015


def down_hazard(age: int) -> float:
    """Return the chance that a zone which has been down for so many steps comes back in the next, before scaling."""
    return 0.0 if age < MIN_RUN else 0.45 / (age + 2) + 0.002


def mean_run(hazard: Hazard, scale: float) -> float:
    """Return the mean number of steps until a scaled hazard strikes."""
    alive, mean = 1.0, 0.0
    for age in range(1, LONGEST):
        mean += alive
        alive *= 1.0 - min(1.0, scale * hazard(age))
        if alive < 1e-6:
            break
    return mean


def scale_for(up_share: float) -> float:
    """Return the scale of the down hazard at which a zone is up for that share of the time (by bisection)."""
    wanted = mean_run(up_hazard, 1.0) * (1.0 - up_share) / up_share
    low, high = 0.01, 100.0
    for _ in range(24):
        middle = (low * high) ** 0.5
        if mean_run(down_hazard, middle) > wanted:
            low = middle
        else:
            high = middle
    return math.sqrt(low * high)


def synthetic_trace(seed: int, num_steps: int = 10_000) -> Trace:
    """Return a trace of zeros and ones; the same seed and length give the same trace."""
    chance = random.Random(seed)
    hard = hard_times(chance, num_steps)
    capacity = {}
    prices = {}
    for index, share in enumerate(UP_SHARES):
        zone = f"zone-{chr(ord('a') + index)}"
        capacity[zone] = zone_series(chance, share, hard)
        prices[zone] = round(SPOT_PRICE * (1.0 + PRICE_SPREAD * (2.0 * chance.random() - 1.0)), 4)
    return Trace(f"synthetic:{seed}", STEP_S, capacity, prices)


def hard_times(chance: random.Random, num_steps: int) -> list[bool]:
    """Return for each step whether times are hard."""
    hard = []
    now = False
    for _ in range(num_steps):
        now = chance.random() >= 1.0 / HARD_FOR if now else chance.random() < 1.0 / HARD_EVERY
        hard.append(now)
    return hard


def zone_series(chance: random.Random, up_share: float, hard: list[bool]) -> list[int]:
    """Return one zone's steps."""
    scale = scale_for(up_share)
    up = chance.random() < up_share
    age = MIN_RUN + int(100 * chance.random())
    series = []
    for is_hard in hard:
        if up:
            turns = chance.random() < up_hazard(age) * (HARD_FALL if is_hard else 1.0)
        else:
            turns = chance.random() < scale * down_hazard(age) * (HARD_COME if is_hard else 1.0)
        up, age = up != turns, 1 if turns else age + 1
        series.append(int(up))
    return series
