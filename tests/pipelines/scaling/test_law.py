"""A planted law is found again, and says what the next run would reach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_pipelines.scaling.law import Law, ScaledRun, doubts, fit

SIZES = (1e6, 3e6, 1e7, 3e7)
RATIOS = (5, 20, 80)


def planted(law: Law, noise: float = 0.0, seed: int = 0, runs: int | None = None) -> list[ScaledRun]:
    draw = np.random.default_rng(seed)
    grid = [(n, n * ratio) for n in SIZES for ratio in RATIOS][:runs]
    return [
        ScaledRun(f"r{n}", int(n), int(d), law.loss(n, d) * float(np.exp(draw.normal(0, noise))))
        for n, d in grid
    ]


laws = st.builds(
    lambda floor, by_size, by_data, alpha, beta: Law(
        floor, by_size * 1e6**alpha, by_data * 2e7**beta, alpha, beta, False
    ),
    st.floats(0.5, 2.0),
    st.floats(0.5, 2.0),
    st.floats(0.5, 2.0),
    st.floats(0.2, 0.6),
    st.floats(0.2, 0.6),
)


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(law=laws)
def test_a_planted_law_is_found_again_without_noise(law: Law) -> None:
    found = fit(planted(law), draws=5)
    predicted = found.predict(1e8, 2e9)
    assert predicted.likely == pytest.approx(law.loss(1e8, 2e9), rel=0.01)
    assert (found.law.alpha, found.law.beta) == pytest.approx((law.alpha, law.beta), abs=0.03)
    assert predicted.low <= predicted.likely <= predicted.high


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(law=laws, seed=st.integers(0, 1000))
def test_with_the_noise_of_a_seed_the_next_size_is_told_within_some_percent(law: Law, seed: int) -> None:
    found = fit(planted(law, noise=0.005, seed=seed), seed, draws=5)
    assert found.predict(1e8, 2e9).likely == pytest.approx(law.loss(1e8, 2e9), rel=0.06)


@pytest.mark.slow
def test_the_interval_holds_the_truth_about_eight_times_in_ten() -> None:
    law = Law(1.7, 406.4, 410.7, 0.34, 0.28, False)
    truth, inside = law.loss(1e8, 2e9), 0
    for seed in range(10):
        told = fit(planted(law, noise=0.01, seed=seed), seed, draws=20).predict(1e8, 2e9)
        inside += told.low <= truth <= told.high
    assert inside >= 6


@pytest.mark.slow
def test_with_three_runs_the_exponents_are_published_and_it_is_said() -> None:
    law = Law(1.7, 406.4, 410.7, 0.34, 0.28, False)
    runs = [
        ScaledRun(str(n), int(n), int(d), law.loss(n, d)) for n, d in ((1e6, 2e7), (3e6, 2e7), (3e6, 2e8))
    ]
    found = fit(runs, draws=50)
    assert (found.law.fixed, found.law.alpha, found.law.beta) == (True, 0.34, 0.28)
    assert "3 runs are fewer than the law's 5 numbers: the exponents are published ones" in found.warnings[0]
    told = found.predict(1e7, 2e8)
    assert told.likely == pytest.approx(law.loss(1e7, 2e8), rel=0.01)
    assert (
        told.high - told.low > 0.01
    )  # three numbers through three runs leave no residual, and still a doubt


@pytest.mark.parametrize(
    ("points", "said"),
    [
        pytest.param(
            [(10, 10), (11, 100), (12, 50), (10, 20), (10, 30)], "about the same size", id="one-size"
        ),
        pytest.param(
            [(10, 10), (100, 11), (50, 12), (20, 10), (9, 10)], "about as many tokens", id="one-length"
        ),
        pytest.param(
            [(10, 200), (20, 400), (40, 800), (80, 1600), (160, 3200)], "tokens per parameter", id="one-ratio"
        ),
        pytest.param([(10, 10), (100, 100), (10, 100), (100, 10), (50, 90)], None, id="a-grid"),
    ],
)
def test_what_runs_cannot_tell_is_said(points: list[tuple[int, int]], said: str | None) -> None:
    found = doubts([ScaledRun("r", n, d, 3.0) for n, d in points])
    assert (said in found[0]) if said is not None else not found


def test_two_runs_are_no_law() -> None:
    with pytest.raises(ValueError, match="at least 3 runs, got 2"):
        fit([ScaledRun("a", 1, 1, 1.0)] * 2)
