"""Chances: how long spot capacity lives, and how many replicas there will be when a launch could have come up.

Owns the two formulas and their sources. Knows nothing of pools, prices or time of day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LOMAX_SHAPE = 0.35
LOMAX_SCALE_S = 585.0
"""Spot capacity that just came up dies young: in steps of 195 s its hazard at age a is about 0.35 / (a + 3), the same
shape in all nine zones of the public V100 trace of February 2023. In seconds: 0.35 / (age + 585) per second."""

Group = tuple[float, int]
"""Chance that replicas are there, and how many: those of a group come or fall together, as zones do."""


def fall_chance(age_s: float, horizon_s: float) -> float:
    """Return the chance that spot capacity of this age is gone within the horizon (both in seconds).

    The integral of the hazard above. Just up, over 195 s: 0.096; after five hours: 0.0035.
    """
    scale = max(0.0, age_s) + LOMAX_SCALE_S
    return float(1.0 - (scale / (scale + horizon_s)) ** LOMAX_SHAPE)


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
