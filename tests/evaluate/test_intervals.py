"""Intervals against tables and scipy, and how often they hold the truth: in exact sums and in draws."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats

from daybreak_evaluate import intervals, passk

Rates = NDArray[np.float64]
COVERAGE = 0.93


@pytest.mark.parametrize(
    ("num_passed", "num_trials", "low", "high"),
    [
        pytest.param(0, 164, 0.0, 0.0222, id="none of HumanEval has an upper bound"),
        pytest.param(164, 164, 0.9778, 1.0, id="all of it has a lower bound"),
        pytest.param(4, 20, 0.0573, 0.4366, id="the example of Clopper and Pearson's tables"),
        pytest.param(0, 1, 0.0, 0.975, id="one task says next to nothing"),
    ],
)
def test_exact_bounds(num_passed: int, num_trials: int, low: float, high: float) -> None:
    assert intervals.exact(num_passed, num_trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.integers(1, 2000), st.data())
def test_exact_bounds_are_scipys(num_trials: int, data: st.DataObject) -> None:
    num_passed = data.draw(st.integers(0, num_trials))
    found = stats.binomtest(num_passed, num_trials).proportion_ci()
    assert intervals.exact(num_passed, num_trials) == pytest.approx((found.low, found.high), abs=1e-9)


@settings(deadline=None)
@given(st.floats(0.05, 5000), st.floats(0.05, 5000), st.floats(0, 1))
def test_the_beta_function_is_scipys(a: float, b: float, x: float) -> None:
    assert intervals.beta_share(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=1e-9)


@pytest.mark.parametrize("freedom", [1, 2, 4, 19, 163, 2000])
def test_students_point_is_scipys(freedom: int) -> None:
    assert intervals.student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-6)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
@example([5e-324])
@example([1.0] * 9 + [math.nextafter(1.0, 0.0)])
@example([0.2] * 20)
def test_an_interval_holds_its_mean_and_has_a_width(values: list[float]) -> None:
    found = intervals.of_mean(values)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0
    assert found.high - found.low > 0.5 / len(values)
    assert found == intervals.of_mean(values)


def test_no_task_is_refused() -> None:
    with pytest.raises(ValueError, match="no task"):
        intervals.of_mean([])


def test_more_samples_of_a_task_never_count_for_more_than_they_are() -> None:
    """Twenty tasks that all have 5 of 10 right: no more trials than samples, however equal they are."""
    found = intervals.of_mean([0.5] * 20, most_trials=100)
    assert (found.low, found.high) == intervals.exact(50, 100)


@pytest.mark.parametrize("num_tasks", [1, 5, 20, 164])
@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.98])
def test_one_sample_a_task_covers_the_truth_in_an_exact_sum(num_tasks: int, rate: float) -> None:
    covered = 0.0
    for passed in range(num_tasks + 1):
        found = intervals.of_mean([1.0] * passed + [0.0] * (num_tasks - passed))
        if found.low <= rate <= found.high:
            covered += float(stats.binom.pmf(passed, num_tasks, rate))
    assert covered >= 0.95


def alike(generator: np.random.Generator, rate: float, shape: tuple[int, ...]) -> Rates:
    return np.full(shape, rate)


def spread(generator: np.random.Generator, rate: float, shape: tuple[int, ...]) -> Rates:
    """Most tasks are nearly never or nearly always solved."""
    return generator.beta(0.5 * rate, 0.5 * (1 - rate), shape)


def two_kinds(generator: np.random.Generator, rate: float, shape: tuple[int, ...]) -> Rates:
    """Half of the tasks are hopeless, or half of them certain."""
    within, rest = (2 * rate, 0.0) if rate <= 0.5 else (2 * rate - 1, 1.0)
    return np.where(generator.random(shape) < 0.5, within, rest)


@pytest.mark.slow
@pytest.mark.parametrize("draw", [alike, spread, two_kinds])
@pytest.mark.parametrize(("num_samples", "k"), [(10, 1), (10, 10)])
@pytest.mark.parametrize("num_tasks", [5, 20, 164])
def test_several_samples_a_task_cover_the_truth(
    monkeypatch: pytest.MonkeyPatch,
    num_tasks: int,
    num_samples: int,
    k: int,
    draw: Callable[[np.random.Generator, float, tuple[int, ...]], Rates],
) -> None:
    monkeypatch.setattr(intervals, "exact", functools.cache(intervals.exact))
    monkeypatch.setattr(intervals, "student", functools.cache(intervals.student))
    repeats = 400
    for rate in (0.02, 0.1, 0.5, 0.98):
        generator = np.random.default_rng([num_tasks, k, int(1000 * rate)])
        truth = float(np.mean(1 - (1 - draw(generator, rate, (200_000,))) ** k)) if k > 1 else rate
        passed = generator.binomial(num_samples, draw(generator, rate, (repeats, num_tasks)))
        table = [passk.pass_at_k(num_samples, correct, k) for correct in range(num_samples + 1)]
        found = [
            intervals.of_mean([table[correct] for correct in row], num_tasks * num_samples // k)
            for row in passed
        ]
        covered = sum(one.low <= truth <= one.high for one in found) / repeats
        assert covered >= COVERAGE, (rate, covered)


SIMILARITIES: dict[str, tuple[Callable[[np.random.Generator, tuple[int, int]], Rates], float]] = {
    "even": (lambda generator, shape: generator.random(shape), 0.5),
    "a rare perfect one": (
        lambda generator, shape: np.where(generator.random(shape) < 0.02, 1.0, 0.2),
        0.216,
    ),
    "a rare miss": (lambda generator, shape: np.where(generator.random(shape) < 0.02, 0.0, 0.9), 0.882),
    "mostly nothing": (lambda generator, shape: generator.beta(0.05, 2.45, shape), 0.02),
}


@pytest.mark.slow
@pytest.mark.parametrize("num_tasks", [5, 20, 164])
@pytest.mark.parametrize("kind", SIMILARITIES)
def test_similarities_cover_the_truth(kind: str, num_tasks: int) -> None:
    draw, truth = SIMILARITIES[kind]
    repeats = 300
    rows = draw(np.random.default_rng(num_tasks), (repeats, num_tasks))
    found = [intervals.of_mean(row.tolist()) for row in rows]
    assert sum(one.low <= truth <= one.high for one in found) / repeats >= COVERAGE


@pytest.mark.slow
@pytest.mark.parametrize("num_tasks", [20, 164])
@pytest.mark.parametrize(("better", "worse"), [(0.02, 0.02), (0.1, 0.02), (0.3, 0.1), (0.0, 0.02)])
def test_differences_cover_the_truth(better: float, worse: float, num_tasks: int) -> None:
    repeats = 300
    drawn = np.random.default_rng(num_tasks).random((repeats, num_tasks))
    rows = np.where(drawn < better, 1.0, np.where(drawn < better + worse, -1.0, 0.0))
    found = [intervals.of_difference(row.tolist()) for row in rows]
    covered = sum(one.low <= better - worse <= one.high for one in found)
    assert covered / repeats >= COVERAGE
    assert all(-1.0 <= one.low <= one.value <= one.high <= 1.0 for one in found)
