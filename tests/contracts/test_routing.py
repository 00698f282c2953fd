"""Who gets which model: agreed by every gateway, sticky, and never a staff model for the public."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.routing import NUM_BUCKETS, Routing, bucket_of, choose, fnv1a32

USERS = st.text(min_size=1, max_size=20)
WEIGHTS = st.integers(0, 100)


def routing(**changes: object) -> Routing:
    known = {"version": 1, "salt": "s1", "staff_groups": ("staff",), "stable": "old", "candidate": "new"}
    return Routing.model_validate({**known, **changes})


@pytest.mark.parametrize(
    ("text", "value"),
    [("", 0x811C9DC5), ("a", 0xE40C292C), ("foobar", 0xBF9CF968)],
    ids=["nothing", "one letter", "the authors' example"],
)
def test_the_hash_is_the_published_one(text: str, value: int) -> None:
    assert fnv1a32(text) == value


def test_the_split_is_as_wide_as_its_weight() -> None:
    shares = [choose(routing(weight=25), f"user-{index}", ()) == "new" for index in range(20_000)]
    assert 0.24 < sum(shares) / len(shares) < 0.26


@given(USERS, WEIGHTS, WEIGHTS)
def test_nobody_flips_back_while_the_ramp_grows(user: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    if choose(routing(weight=low), user, ()) == "new":
        assert choose(routing(weight=high), user, ()) == "new"


@given(USERS, st.sets(st.sampled_from(["dev", "ops", "guests"])))
def test_the_public_never_gets_a_model_for_staff(user: str, groups: set[str]) -> None:
    assert choose(routing(staff=True, weight=0), user, groups) == "old"


@given(USERS)
def test_the_ends_of_the_ramp_are_all_and_none(user: str) -> None:
    assert choose(routing(weight=100), user, ()) == "new"
    assert choose(routing(weight=0), user, ()) == "old"
    assert 0 <= bucket_of("s1", user) < NUM_BUCKETS


@given(USERS, WEIGHTS)
def test_staff_get_the_candidate_only_by_their_switch(user: str, weight: int) -> None:
    assert choose(routing(staff=True, weight=weight), user, ["staff"]) == "new"
    assert choose(routing(staff=False, weight=0), user, ["staff"]) == "old"


def test_without_a_candidate_all_get_the_stable_model() -> None:
    assert choose(routing(candidate=None, staff=True, weight=100), "anyone", ["staff"]) == "old"


def test_the_document_speaks_camel_case_and_comes_back() -> None:
    document = routing(shadow_percent=5).model_dump(mode="json", by_alias=True)
    assert document["shadowPercent"] == 5
    assert Routing.model_validate({**document, "fromALaterVersion": 1}) == routing(shadow_percent=5)
