"""The law of loss over size and tokens: ``L(N, D) = E + A / N^alpha + B / D^beta``, fitted to finished runs. Pure.

Approach 3 of Hoffmann et al. 2022 (arXiv 2203.15556, section 3.3 and appendix D.3): Huber loss of the logarithms,
L-BFGS from many starts, the best kept. Owns the arithmetic; reads no run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from daybreak_contracts.planning.duration import Estimate

Floats = NDArray[np.float64]

HUBER = 1e-3
"""Of a logarithm: beyond it a residual counts by its size and not by its square (the paper's delta)."""
PUBLISHED_ALPHA, PUBLISHED_BETA = 0.34, 0.28
"""The paper's exponents, equation 10: taken where there are too few runs to fit them."""
PUBLISHED_RANGE = (0.25, 0.45)
"""What either exponent may be where it was not fitted: from the paper's 0.28 to the 0.37 that Besiroglu et al. 2024
(arXiv 2404.10102) find in the same data, and a third of that distance on either side."""
LEAST_RUNS = 3
NUM_PARAMETERS = 5
NOISE = 0.005
"""Least standard deviation of a loss's logarithm: another seed alone moves a small model's loss by half a percent."""
DRAWS = 200
STARTS = tuple(
    (alpha, beta, share) for alpha in (0.2, 0.5, 1.0) for beta in (0.2, 0.5, 1.0) for share in (0.3, 0.8)
)
"""Exponents, and the share of the lowest loss that no model can get below."""
ALIKE = 1.3
"""Runs whose numbers differ by less than this factor tell nothing of what that number does."""


@dataclass(frozen=True)
class ScaledRun:
    """A finished run: weights, tokens it was trained on, held-out loss in nats a token."""

    name: str
    parameters: int
    tokens: int
    loss: float


@dataclass(frozen=True)
class Law:
    """The five numbers. ``fixed`` exponents were published by others, not fitted."""

    floor: float
    """``E``: what no size and no data get below."""
    a: float
    b: float
    alpha: float
    beta: float
    fixed: bool

    def loss(self, parameters: float, tokens: float) -> float:
        """Return the loss that a run should reach."""
        return float(self.floor + self.a / parameters**self.alpha + self.b / tokens**self.beta)


@dataclass(frozen=True)
class FittedLaw:
    """The law, others that fit the runs about as well, and what the runs cannot tell."""

    law: Law
    draws: tuple[Law, ...]
    runs: tuple[ScaledRun, ...]
    warnings: tuple[str, ...]

    def predict(self, parameters: float, tokens: float) -> Estimate:
        """Return the loss of a run that was not made."""
        found = sorted(law.loss(parameters, tokens) for law in self.draws)
        low, high = np.quantile(found, (0.1, 0.9))
        likely = self.law.loss(parameters, tokens)
        return Estimate(low=min(float(low), likely), likely=likely, high=max(float(high), likely))


def fit(runs: Sequence[ScaledRun], seed: int = 0, draws: int = DRAWS) -> FittedLaw:
    """Fit the law; with fewer runs than its five numbers the exponents are the published ones.

    The interval is a parametric bootstrap: losses are drawn anew with the noise that the fit leaves (never less than
    ``NOISE``), exponents that were not fitted from ``PUBLISHED_RANGE``, and the law is fitted again.
    """
    if len(runs) < LEAST_RUNS:
        raise ValueError(f"a law needs at least {LEAST_RUNS} runs, got {len(runs)}")
    fixed = len(runs) < NUM_PARAMETERS
    points = _Points.of(runs)
    exponents = (PUBLISHED_ALPHA, PUBLISHED_BETA) if fixed else None
    starts = [_start(points, *start) for start in STARTS]
    best = _best(points, starts, exponents)
    residuals = points.log_loss - _log_predicted(best, points)
    free = max(1, len(runs) - (LEAST_RUNS if fixed else NUM_PARAMETERS))
    noise = max(NOISE, math.sqrt(float(residuals @ residuals) / free))
    draw = np.random.default_rng(seed)
    others = []
    for _ in range(draws):
        again = _Points(
            points.log_n, points.log_d, points.log_loss + draw.normal(0.0, noise, len(runs)), points.centre
        )
        held = (
            (float(draw.uniform(*PUBLISHED_RANGE)), float(draw.uniform(*PUBLISHED_RANGE))) if fixed else None
        )
        others.append(_law(_best(again, [best], held), points, fixed))
    return FittedLaw(_law(best, points, fixed), tuple(others), tuple(runs), tuple(doubts(runs)))


def doubts(runs: Sequence[ScaledRun]) -> list[str]:
    """Return what runs like these cannot tell, however well the law fits them."""
    found = []
    if len(runs) < NUM_PARAMETERS:
        found.append(
            f"{len(runs)} runs are fewer than the law's {NUM_PARAMETERS} numbers: the exponents are published ones "
            f"(alpha {PUBLISHED_ALPHA}, beta {PUBLISHED_BETA}, Hoffmann et al. 2022), not fitted"
        )
    spreads: dict[str, list[float]] = {
        "have about the same size: what more parameters do is not known": [run.parameters for run in runs],
        "were trained on about as many tokens: what more tokens do is not known": [
            run.tokens for run in runs
        ],
        "have about the same tokens per parameter: trust the law at that ratio only": [
            run.tokens / run.parameters for run in runs
        ],
    }
    found += [f"all runs {said}" for said, values in spreads.items() if max(values) < ALIKE * min(values)]
    return found


@dataclass(frozen=True)
class _Points:
    """The runs as logarithms, sizes and tokens about their centre: the five numbers hardly hang on each other then."""

    log_n: Floats
    log_d: Floats
    log_loss: Floats
    centre: tuple[float, float]

    @classmethod
    def of(cls, runs: Sequence[ScaledRun]) -> _Points:
        log_n = np.log([float(run.parameters) for run in runs])
        log_d = np.log([float(run.tokens) for run in runs])
        centre = (float(log_n.mean()), float(log_d.mean()))
        return cls(log_n - centre[0], log_d - centre[1], np.log([run.loss for run in runs]), centre)


def _terms(values: Floats, points: _Points) -> Floats:
    """Return the logarithms of the three terms, a row each; ``values`` is log E, log A, log B, alpha, beta."""
    e, a, b, alpha, beta = values
    return np.stack((np.full_like(points.log_n, e), a - alpha * points.log_n, b - beta * points.log_d))


def _log_predicted(values: Floats, points: _Points) -> Floats:
    found: Floats = np.logaddexp.reduce(_terms(values, points), axis=0)
    return found


def _objective(values: Floats, points: _Points) -> tuple[float, Floats]:
    """Return the sum of Huber losses, in units of ``HUBER`` squared, and its gradient."""
    terms = _terms(values, points)
    predicted = np.logaddexp.reduce(terms, axis=0)
    off = (predicted - points.log_loss) / HUBER
    near = np.abs(off) <= 1.0
    value = np.where(near, 0.5 * off**2, np.abs(off) - 0.5).sum()
    slope = np.where(near, off, np.sign(off)) / HUBER
    pulls = np.exp(terms - predicted) * slope
    gradient = np.array(
        (
            pulls[0].sum(),
            pulls[1].sum(),
            pulls[2].sum(),
            -(pulls[1] * points.log_n).sum(),
            -(pulls[2] * points.log_d).sum(),
        )
    )
    return float(value), gradient


def _start(points: _Points, alpha: float, beta: float, share: float) -> Floats:
    """Return a start: with these exponents and floor, the A and B of least squares that are not negative."""
    losses = np.exp(points.log_loss)
    floor = share * losses.min()
    columns = np.stack((np.exp(-alpha * points.log_n), np.exp(-beta * points.log_d)), axis=1)
    found, _ = optimize.nnls(columns, losses - floor)
    a, b = np.log(np.maximum(found, 1e-3))
    return np.array((math.log(floor), a, b, alpha, beta))


def _best(points: _Points, starts: Sequence[Floats], exponents: tuple[float, float] | None) -> Floats:
    lowest = float(points.log_loss.min())
    ranges = ((0.02, 3.0), (0.02, 3.0)) if exponents is None else tuple((one, one) for one in exponents)
    bounds = [(lowest - 6.0, lowest), (lowest - 12.0, lowest + 12.0), (lowest - 12.0, lowest + 12.0), *ranges]
    low, high = np.array(bounds).T
    best, value = starts[0], math.inf
    for start in starts:
        found = optimize.minimize(
            _objective,
            np.clip(start, low, high),
            args=(points,),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 3000, "maxfun": 6000, "ftol": 1e-14, "gtol": 1e-9, "maxcor": 20},
        )
        if found.fun < value:
            best, value = found.x, float(found.fun)
    return best


def _law(values: Floats, points: _Points, fixed: bool) -> Law:
    e, a, b, alpha, beta = (float(value) for value in values)
    n0, d0 = points.centre
    return Law(math.exp(e), math.exp(a + alpha * n0), math.exp(b + beta * d0), alpha, beta, fixed)
