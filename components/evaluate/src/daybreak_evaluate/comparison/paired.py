"""Two models, task by task: on how many tasks one is better, and whether that is more than chance.

Owns the comparison and its sentence; pure. The test is McNemar's in its exact form (Psychometrika 1947, 12:153-157): of
the tasks on which the two differ, each is a fair coin if neither is better. With several samples a task it is the sign
test on the tasks' rates. The difference of the means has an interval of its own, over the tasks that both have.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from daybreak_evaluate import intervals
from daybreak_evaluate.intervals import Interval

CHANCE = 0.05
"""Below this p value a difference is said to be more than chance."""
ROUNDING = 1e-9
Rates = Mapping[str, Sequence[float]]
"""Task to what each of its samples scored, in [0, 1]."""


@dataclass(frozen=True)
class PairedComparison:
    """One measure of two models, A and B."""

    metric: str
    better: tuple[str, ...]
    """Tasks on which B is better."""
    worse: tuple[str, ...]
    num_equal: int
    only_a: tuple[str, ...]
    """Tasks that only A has: left out of everything else."""
    only_b: tuple[str, ...]
    mean_a: float
    mean_b: float
    difference: Interval
    """B's mean less A's."""
    p: float

    @property
    def num_tasks(self) -> int:
        """Tasks that both have."""
        return len(self.better) + len(self.worse) + self.num_equal

    def sentence(self) -> str:
        """Return everything in words."""
        differs = f"p = {_p(self.p)}"
        if not self.better and not self.worse:
            differs = "nothing to test"
        elif self.p >= CHANCE:
            differs += ", which chance explains"
        text = (
            f"{self.metric}: B is better on {len(self.better)}, worse on {len(self.worse)}, equal on "
            f"{self.num_equal} of {self.num_tasks} tasks, {differs}; A {self.mean_a:.4f}, B {self.mean_b:.4f}, "
            f"difference {self.difference.value:+.4f} (95 % interval {self.difference.low:+.4f} to "
            f"{self.difference.high:+.4f})"
        )
        left_out = [
            f"{len(tasks)} that only {name} has"
            for name, tasks in (("A", self.only_a), ("B", self.only_b))
            if tasks
        ]
        return text + (f"; left out: {' and '.join(left_out)}" if left_out else "")

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON."""
        return {
            "metric": self.metric,
            "numTasks": self.num_tasks,
            "better": list(self.better),
            "worse": list(self.worse),
            "numEqual": self.num_equal,
            "onlyA": list(self.only_a),
            "onlyB": list(self.only_b),
            "a": self.mean_a,
            "b": self.mean_b,
            "difference": asdict(self.difference),
            "p": self.p,
        }


def compare(metric: str, a: Rates, b: Rates) -> PairedComparison | None:
    """Compare two models on the tasks that both have; None where there is none."""
    both = [task for task in a if task in b]
    if not both:
        return None
    first = {task: math.fsum(a[task]) / len(a[task]) for task in both}
    second = {task: math.fsum(b[task]) / len(b[task]) for task in both}
    differences = {task: second[task] - first[task] for task in both}
    better = tuple(task for task in both if differences[task] > ROUNDING)
    worse = tuple(task for task in both if differences[task] < -ROUNDING)
    return PairedComparison(
        metric=metric,
        better=better,
        worse=worse,
        num_equal=len(both) - len(better) - len(worse),
        only_a=tuple(task for task in a if task not in b),
        only_b=tuple(task for task in b if task not in a),
        mean_a=math.fsum(first.values()) / len(both),
        mean_b=math.fsum(second.values()) / len(both),
        difference=intervals.of_difference(list(differences.values())),
        p=sign_test(len(better), len(worse)),
    )


def sign_test(better: int, worse: int) -> float:
    """Return the two-sided chance of a split at least as uneven by fair coins; 12 and 4: 0.0768."""
    total, fewer = better + worse, min(better, worse)
    ways = sum(math.comb(total, count) for count in range(fewer + 1))
    # integers of any length: 2 ** 2000 has no place in a float
    return min(1.0, 2 * ways / 2**total if total < 1000 else float(_ratio(2 * ways, total)))


def _ratio(ways: int, total: int) -> float:
    """Return ways / 2 ** total for numbers too large for a float."""
    excess = max(0, ways.bit_length() - 64)
    return math.ldexp(ways >> excess, excess - total)


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
