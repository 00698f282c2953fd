"""Chances: how long spot capacity lives, and how many replicas there will be when a launch could have come up.

Owns the two formulas and their sources. Knows nothing of pools, prices or time of day.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

YOUNG_SHAPE = 0.6
YOUNG_SCALE_S = 585.0
OLD_RATE = 7.7e-6
"""Spot capacity that just came up dies young. In steps of 195 s, the chance to fall in the next one at age a is about
0.6 / (a + 3) + 0.0015: fitted to the first half of the public nine-zone V100 trace of February 2023 (0.072 at 4 to 6
steps, 0.018 at 21 to 40, 0.0015 beyond 640), and of the same shape in every zone. Here per second."""

Group = tuple[float, int]
"""Chance that replicas are there, and how many: those of a group come or fall together, as zones do."""


def fall_chance(age_s: float, horizon_s: float) -> float:
    """Return the chance that spot capacity of this age is gone within the horizon (both in seconds).

    The integral of the hazard above. Just up, over 195 s: 0.16; after five hours: 0.0076.
    """
    scale = max(0.0, age_s) + YOUNG_SCALE_S
    young = (scale / (scale + horizon_s)) ** YOUNG_SHAPE
    return float(1.0 - young * math.exp(-OLD_RATE * horizon_s))


@dataclass(frozen=True)
class Odds:
    """What to expect of a set of groups against a need."""

    short: float
    """Chance of fewer than are needed."""
    none: float
    """Chance of none at all."""
    missing: float
    """How many are missing on average."""


def odds_of(groups: Iterable[Group], need: int) -> Odds:
    """Return the odds that independent groups cover the need; exact, in groups x need steps."""
    if need <= 0:
        return Odds(0.0, 0.0, 0.0)
    chances = [1.0] + [0.0] * need
    for chance, count in groups:
        for have in range(need, -1, -1):
            mass = chances[have]
            if mass:
                chances[have] = mass * (1.0 - chance)
                chances[min(need, have + count)] += mass * chance
    missing = sum((need - have) * mass for have, mass in enumerate(chances))
    return Odds(1.0 - chances[need], chances[0], missing)
