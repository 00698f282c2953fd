"""How long yet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_pipelines import estimate

STEPS = ("a", "b", "c")
EXPECTED = {"a": 10.0, "b": 20.0, "c": 30.0}


@pytest.mark.parametrize(
    ("done", "current", "elapsed", "share", "left"),
    [
        pytest.param({}, "a", 0, 0, 60, id="nothing-done-everything-left"),
        pytest.param({"a": 10}, "b", 5, 0, 45, id="a-step-without-a-share-is-judged-by-expectation"),
        pytest.param({"a": 10}, "b", 5, 0.5, 35, id="a-step-with-a-share-is-judged-by-its-own-pace"),
        pytest.param({"a": 20}, "b", 0, 0, 100, id="a-slow-start-stretches-what-is-left"),
        pytest.param({"a": 1000}, "b", 0, 0, 150, id="an-outlier-stretches-at-most-threefold"),
        pytest.param({"a": 0}, "b", 0, 0, 50 / 3, id="cached-steps-shrink-at-most-threefold"),
        pytest.param({"a": 10}, "b", 100, 0, 30, id="an-overdue-step-never-counts-below-zero"),
        pytest.param({"a": 10, "b": 20, "c": 30}, None, 0, 0, 0, id="all-done-nothing-left"),
    ],
)
def test_seconds_left(
    done: dict[str, float], current: str, elapsed: float, share: float, left: float
) -> None:
    assert estimate.seconds_left(STEPS, EXPECTED, done, current, elapsed, share) == pytest.approx(left)


def test_what_ends_by_the_clock_is_neither_stretched_nor_a_measure_of_pace() -> None:
    """A fast first step made six minutes of training "about 3 min left"; a step that was not done again did so, too."""
    expected = {"data": 90.0, "train": 375.0, "judge": 12.0}
    left = estimate.seconds_left(tuple(expected), expected, {"data": 30.0}, "train", 0, 0, {"train"})
    assert left == pytest.approx(375 + 12 / 3)
    left = estimate.seconds_left(tuple(expected), expected, {"data": 0.2}, "train", 5, 0, {"data", "train"})
    assert left == pytest.approx(370 + 12)
    left = estimate.seconds_left(
        tuple(expected), expected, {"data": 90.0, "train": 1.0}, "judge", 0, 0, {"train"}
    )
    assert left == pytest.approx(12)


@given(
    share=st.floats(0, 1),
    elapsed=st.floats(0, 1e6),
    a=st.floats(0, 1e6),
)
def test_what_is_left_is_never_negative(share: float, elapsed: float, a: float) -> None:
    assert estimate.seconds_left(STEPS, EXPECTED, {"a": a}, "b", elapsed, share) >= 0


def test_a_known_length_wins_over_an_earlier_run_and_that_over_the_typical() -> None:
    expected = estimate.expected_seconds(
        ("documents", "train", "xray"), {"train": 5, "xray": 6}, {"train": 7}
    )
    assert expected == {"documents": estimate.TYPICAL_SECONDS["documents"], "train": 7, "xray": 6}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3599.4, "59 min 59 s"), (7500, "2 h 05 min")],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert estimate.in_words(seconds) == words
