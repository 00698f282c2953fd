"""Is this step's loss or gradient norm out of line? From what all ranks share, before the update.

Owns the statistics: how far a step lies above a short-term median, in robust standard deviations of how far clean
steps lay (median and MAD of the log, Hampel 1974). A step that is out of line never enters the window, so that a
spike does not hide the next. Owns no consequence (``policy``) and no value of a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

CENTER = 16
"""Clean steps whose median is what the next step is expected to be: short, so that falling loss is followed."""
JUDGE_FROM = 16
"""Deviations that must be known before a step is judged; with ``CENTER / 2`` steps before them, some 24 steps."""
SIGMA_OF_MAD = 1.4826
"""From the MAD of normal noise to its standard deviation."""
TAIL, TAIL_SIGMAS = 0.97, 2.17
"""Of normal noise 97 % lie within 2.17 standard deviations. Noise with heavier tails is measured by its tail: its MAD
alone would make a spike of what is usual there."""
LEAST_SIGMA = (0.004, 0.02)
"""Of log loss and log gradient norm: a curve without noise must not make a spike of a trifle."""
LEAST_HEIGHT = 1.1
"""Loss over its expectation: lower is never called a spike."""
ALONE_HEIGHT = 1.15
"""What the loss must reach when the gradient says nothing."""
SUPPORTED = 0.5
"""Share of the threshold from which the gradient norm supports a spike of the loss."""
GRADIENT_HEIGHT, GRADIENT_TIMES = 4.0, 2.0
"""Norm over its expectation, and times the threshold, from which the gradient alone is a spike."""
RISING_OVER, RISING_HEIGHT = 64, 1.2
"""The median of so many clean steps so far above the lowest such median: the loss drifts up."""

Finding = Literal["NonFinite", "LossSpike", "GradientSpike", "LossRising"]


@dataclass(frozen=True)
class Reading:
    """One step, as all ranks know it: mean loss in nats per token, norm of the gradient before clipping."""

    loss: float
    grad_norm: float

    @property
    def is_finite(self) -> bool:
        """Whether both are numbers that mean something."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


@dataclass(frozen=True)
class Judgement:
    """What a step is, and by how much."""

    finding: Finding | None
    loss_height: float = 1.0
    """Loss over its expectation."""
    loss_score: float = 0.0
    """Robust standard deviations above it."""
    grad_height: float = 1.0
    grad_score: float = 0.0


@dataclass(frozen=True)
class Track:
    """What is remembered of one quantity: its newest clean values and how they deviated, all as logarithms."""

    recent: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    def deviation(self, value: float) -> float | None:
        """Return how far a value lies above what is expected; None while too little is known."""
        return value - median(self.recent[-CENTER:]) if len(self.recent) >= CENTER // 2 else None

    def with_value(self, value: float, window: int) -> Track:
        """Return the track with one more clean value."""
        off = self.deviation(value)
        deviations = self.deviations if off is None else (*self.deviations, off)[-window:]
        return Track((*self.recent, value)[-max(CENTER, RISING_OVER) :], deviations)

    def judged(self, value: float, least_sigma: float) -> tuple[float, float] | None:
        """Return height and score of a value; None while too little is known."""
        off = self.deviation(value)
        if off is None or len(self.deviations) < JUDGE_FROM:
            return None
        middle = median(self.deviations)
        distances = sorted(abs(known - middle) for known in self.deviations)
        spread = SIGMA_OF_MAD * median(distances)
        tail = distances[int(TAIL * len(distances))] / TAIL_SIGMAS
        return math.exp(min(off - middle, 50.0)), (off - middle) / max(spread, tail, least_sigma)


@dataclass(frozen=True)
class DetectorState:
    """All that the next judgement depends on; in the checkpoint, so that a resume judges the same."""

    loss: Track = Track()
    grad_norm: Track = Track()
    lowest: float | None = None
    """The lowest median of ``RISING_OVER`` log losses so far."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; floats come back bit for bit."""
        return {
            "loss": [list(self.loss.recent), list(self.loss.deviations)],
            "gradNorm": [list(self.grad_norm.recent), list(self.grad_norm.deviations)],
            "lowest": self.lowest,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> DetectorState:
        """Return what ``to_json`` wrote."""
        return cls(_track(stored["loss"]), _track(stored["gradNorm"]), stored["lowest"])


def _track(stored: Sequence[Sequence[float]]) -> Track:
    recent, deviations = stored
    return Track(tuple(recent), tuple(deviations))


@dataclass(frozen=True)
class Detector:
    """The settings: how many robust standard deviations make a spike, and over how many clean steps."""

    threshold: float
    window: int

    def judge(self, state: DetectorState, reading: Reading) -> Judgement:
        """Say what a step is, by the clean steps before it."""
        if not reading.is_finite:
            return Judgement("NonFinite")
        loss = state.loss.judged(_log(reading.loss), LEAST_SIGMA[0])
        grad = state.grad_norm.judged(_log(reading.grad_norm), LEAST_SIGMA[1])
        if loss is None or grad is None:
            return Judgement(None)
        judgement = Judgement(None, *loss, *grad)
        return replace(judgement, finding=self._finding(judgement, state))

    def learn(self, state: DetectorState, reading: Reading) -> DetectorState:
        """Take a clean step in."""
        loss = state.loss.with_value(_log(reading.loss), self.window)
        grad = state.grad_norm.with_value(_log(reading.grad_norm), self.window)
        lowest = state.lowest
        if len(loss.recent) >= RISING_OVER:
            level = median(loss.recent)
            lowest = level if lowest is None else min(lowest, level)
        return DetectorState(loss, grad, lowest)

    def _finding(self, judgement: Judgement, state: DetectorState) -> Finding | None:
        loss, grad, limit = judgement.loss_score, judgement.grad_score, self.threshold
        supported = grad > SUPPORTED * limit
        if loss > limit and judgement.loss_height >= (LEAST_HEIGHT if supported else ALONE_HEIGHT):
            return "LossSpike"
        if grad > GRADIENT_TIMES * limit and judgement.grad_height >= GRADIENT_HEIGHT:
            return "GradientSpike"
        if state.lowest is not None and median(state.loss.recent) > state.lowest + math.log(RISING_HEIGHT):
            return "LossRising"
        return None


def _log(value: float) -> float:
    """Return the logarithm of a value that is at least 0."""
    return math.log(max(value, 1e-30))
