"""What an offering's replicas teach, and how long a dead one is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources.deployment import Pool
from daybreak_operator.core.capacity.placement.offerings import (
    BACKOFF_MAX_S,
    RESET_S,
    Offering,
    alive,
    backoff_s,
    chance_of,
    has_failed,
    learn,
    offerings_of,
    sibling_factor,
)
from daybreak_operator.core.capacity.values import Held, Learned, Pending

NOW = 1_000_000
A = Offering("spot", "zone-a", "l4", "Spot", 0.35)
B = Offering("spot", "zone-b", "l4", "Spot", 0.35)
PLACE = A.place


@pytest.mark.parametrize(
    ("held", "before", "after"),
    [
        pytest.param(Held("spot", "zone-a"), Learned(), Learned(), id="nothing held teaches nothing"),
        pytest.param(
            Held("spot", "zone-a", ready=(NOW - 60.5,)),
            Learned(desired=1, failures=3, retry_at=NOW - 9),
            Learned(1, 1, NOW - 61, NOW - 61, 1.0, NOW, 0, None, None),
            id="a replica that came up ends the back-off",
        ),
        pytest.param(
            Held("spot", "zone-a", ready=(NOW - 60.0,)),
            Learned(1, 1, NOW - 60, NOW - 60, 1.0, NOW - 50),
            Learned(1, 1, NOW - 60, NOW - 60, 1.0, NOW - 50),
            id="the same replica seen again changes nothing",
        ),
        pytest.param(
            Held("spot", "zone-a", pending=(Pending(NOW - 10, refused=True),)),
            Learned(desired=1),
            Learned(0, 1, None, None, 0.0, NOW, 1, NOW, NOW + 120),
            id="a refused launch backs off for two minutes",
        ),
        pytest.param(
            Held("spot", "zone-a", pending=(Pending(NOW + 7, refused=True),)),
            Learned(desired=1),
            Learned(0, 1, None, None, 0.0, NOW, 1, NOW + 7, NOW + 120),
            id="a launch from the future, by a clock ahead of ours, fails once",
        ),
        pytest.param(
            Held("spot", "zone-a", pending=(Pending(NOW - 400.0), Pending(NOW - 390.0))),
            Learned(desired=2, failures=2, failed_at=NOW - 800, retry_at=NOW - 500),
            Learned(0, 2, None, None, 0.0, NOW, 3, NOW, NOW + 480),
            id="two launches of one burst fail once",
        ),
        pytest.param(
            Held("spot", "zone-a", pending=(Pending(NOW - 400.0),)),
            Learned(0, 0, None, None, 0.0, NOW - 100, 1, NOW - 100, NOW + 20),
            Learned(0, 0, None, None, 0.0, NOW - 100, 1, NOW - 100, NOW + 20),
            id="a failed launch that is not gone yet does not fail again",
        ),
        pytest.param(
            Held("spot", "zone-a"),
            Learned(2, 2, NOW - 900, NOW - 900, 1.0, NOW - 900),
            Learned(0, 2, None, NOW - 900, 0.0, NOW, 1, None, NOW + 120),
            id="spot replicas that went by themselves are a loss",
        ),
        pytest.param(
            Held("spot", "zone-a"),
            Learned(2, 0, NOW - 900, NOW - 900, 1.0, NOW - 900),
            Learned(0, 0, None, NOW - 900, 1.0, NOW - 900),
            id="replicas that were given up are no loss",
        ),
        pytest.param(
            Held("spot", "zone-a", pending=(Pending(NOW - 5, placed=True),)),
            Learned(1, 1, NOW - 900, NOW - 900, 1.0, NOW - 900),
            Learned(0, 1, None, NOW - 900, 1.0, NOW - 900),
            id="a replica that restarts on its machine is no loss",
        ),
        pytest.param(
            Held("spot", "zone-a", pending=(Pending(NOW - 1.0, refused=True),)),
            Learned(
                failures=5,
                failed_at=NOW - RESET_S - 1800,
                retry_at=NOW - RESET_S,
                success=0.0,
                success_at=NOW - RESET_S,
            ),
            Learned(0, 0, None, None, 0.0, NOW, 1, NOW, NOW + 120),
            id="after three hours the count of failures begins anew",
        ),
    ],
)
def test_what_is_held_teaches(held: Held, before: Learned, after: Learned) -> None:
    learnt = learn([A], {PLACE: held}, {PLACE: before}, NOW)
    assert learnt == {PLACE: after}
    assert learn([A], {PLACE: held}, learnt, NOW) == learnt, "looking twice teaches nothing new"


@pytest.mark.parametrize(
    ("other", "factor"),
    [
        pytest.param(A, 1.0, id="not of itself"),
        pytest.param(replace(A, pool="big", accelerator="h100"), 0.5, id="of other machines in the zone"),
        pytest.param(B, 0.8, id="of the same accelerator in another zone"),
        pytest.param(replace(B, pool="big", accelerator="h100"), 1.0, id="not of other machines elsewhere"),
        pytest.param(replace(A, pool="od", market="OnDemand"), 1.0, id="not of another market"),
    ],
)
def test_a_failure_speaks_of_siblings(other: Offering, factor: float) -> None:
    assert sibling_factor(A, other) == factor


def test_a_sibling_s_chance_falls_with_a_failure_and_comes_back() -> None:
    held = {PLACE: Held("spot", "zone-a", pending=(Pending(NOW - 5, refused=True),))}
    learnt = learn([A, B], held, {}, NOW)
    assert learnt[B.place] == Learned(success=0.4, success_at=NOW)
    assert chance_of(learnt[B.place], "Spot", NOW + 1800) == pytest.approx(0.45)


def test_a_long_row_of_failures_lowers_what_a_zone_comes_back_to() -> None:
    long_ago = NOW - 1_000_000
    chances = [
        chance_of(Learned(failures=row, success=0.0, success_at=long_ago), "Spot", NOW) for row in (0, 4, 8)
    ]
    assert chances == pytest.approx([0.5, 0.25, 0.5 / 3])


@given(st.integers(1, 60))
def test_back_off_never_shortens(failures: int) -> None:
    assert 120 <= backoff_s(failures) <= backoff_s(failures + 1) <= BACKOFF_MAX_S


@pytest.mark.parametrize(
    ("pending", "failed"),
    [
        pytest.param(Pending(NOW - 179), False, id="just under three minutes without a machine"),
        pytest.param(Pending(NOW - 180), True, id="three minutes without a machine"),
        pytest.param(Pending(NOW - 180, placed=True), False, id="three minutes with a machine"),
        pytest.param(Pending(NOW - 1800, placed=True), True, id="half an hour with a machine"),
        pytest.param(Pending(NOW, refused=True), True, id="a stock-out was seen"),
    ],
)
def test_a_launch_fails_when(pending: Pending, failed: bool) -> None:
    assert has_failed(pending, NOW) is failed
    assert alive(Held("spot", "zone-a", pending=(pending,)), Learned(), NOW) == (not failed)


def test_where_no_pool_names_a_price_spot_counts_as_cheaper() -> None:
    pools = [
        Pool(name="spot", accelerator="l4", zones=("a",), market="Spot"),
        Pool(name="od", accelerator="l4", zones=("a",), market="OnDemand"),
    ]
    spot, on_demand = offerings_of(pools)
    assert 0 < spot.price < on_demand.price
