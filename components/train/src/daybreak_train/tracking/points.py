"""What trackers are told between two points in time: means and maxima, so that a spike of one step shows.

Pure. Owns the names of the metrics that are gathered so; sends nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LOSS = "loss/train/total"
LOSS_MAX = "loss/train/max"
GRAD_NORM = "l2_norm/grad/global"
GRAD_NORM_MAX = "l2_norm/grad/max"
NON_FINITE = "train/non_finite_steps"


@dataclass
class PointGatherer:
    """The steps since the last point."""

    _losses: list[float] = field(default_factory=list)
    _norms: list[float] = field(default_factory=list)
    _non_finite: int = 0

    def add(self, loss: float, grad_norm: float) -> None:
        """Take one step; what is no number is counted and goes into no mean."""
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            self._non_finite += 1
            return
        self._losses.append(loss)
        self._norms.append(grad_norm)

    def take(self) -> dict[str, float]:
        """Return the metrics of the steps so far, and begin anew.

        >>> gatherer = PointGatherer()
        >>> for loss in (2.0, 6.0, 2.0, 2.0): gatherer.add(loss, loss / 2)
        >>> gatherer.take()[LOSS], PointGatherer().take()
        (3.0, {})
        """
        found: dict[str, float] = {}
        for values, mean, most in ((self._losses, LOSS, LOSS_MAX), (self._norms, GRAD_NORM, GRAD_NORM_MAX)):
            if values:
                found |= {mean: math.fsum(values) / len(values), most: max(values)}
        if self._non_finite:
            found[NON_FINITE] = float(self._non_finite)
        self._losses, self._norms, self._non_finite = [], [], 0
        return found


def generations_text(generations: Sequence[Mapping[str, str]]) -> str:
    """Return what the model wrote to each prompt as one text for a person, its part between two lines."""
    return "\n\n".join(
        f"{one['prompt']}\n>>>>\n{one['text']}\n<<<<\n{one['suffix']}".rstrip() for one in generations
    )
