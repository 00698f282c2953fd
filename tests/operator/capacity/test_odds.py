"""The two formulas: how long spot capacity lives, and what groups that come and fall together add up to."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_operator.core.capacity.placement.odds import fall_chance, odds_of


@pytest.mark.parametrize(
    ("age_s", "chance"),
    [
        pytest.param(0, 0.160, id="just up"),
        pytest.param(5 * 195, 0.071, id="five steps: the trace says 0.072"),
        pytest.param(30 * 195, 0.0195, id="thirty steps: the trace says 0.018"),
        pytest.param(480 * 195, 0.0027, id="a day: the trace says 0.0027"),
    ],
)
def test_young_spot_capacity_falls_more_often(age_s: int, chance: float) -> None:
    assert fall_chance(age_s, 195) == pytest.approx(chance, abs=0.002)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 1e5))
def test_older_is_safer_and_longer_is_riskier(age: float, more: float, horizon: float) -> None:
    assert 0.0 <= fall_chance(age + more, horizon) <= fall_chance(age, horizon) + 1e-12 <= 1.0 + 1e-12
    assert fall_chance(age, horizon + more) >= fall_chance(age, horizon) - 1e-12


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3)), max_size=6), st.integers(1, 6))
def test_odds_are_what_counting_every_outcome_gives(groups: list[tuple[float, int]], need: int) -> None:
    short = none = missing = 0.0
    for outcome in itertools.product((True, False), repeat=len(groups)):
        chance = math.prod(up if there else 1 - up for there, (up, _) in zip(outcome, groups, strict=True))
        have = sum(count for there, (_, count) in zip(outcome, groups, strict=True) if there)
        short += chance * (have < need)
        none += chance * (have == 0)
        missing += chance * max(0, need - have)
    odds = odds_of(groups, need)
    assert (odds.short, odds.none, odds.missing) == pytest.approx((short, none, missing), abs=1e-9)


def test_nothing_needed_is_never_short() -> None:
    assert odds_of([], 0).short == 0.0
