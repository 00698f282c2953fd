"""What a status remembers comes back as it was, and a status of any other shape does no harm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.routing import Routing
from daybreak_operator.core.capacity.values import Learned, PlacementMemory
from daybreak_operator.core.deployment.decide import decide
from daybreak_operator.core.deployment.observed.observation import DeploymentObservation
from daybreak_operator.core.deployment.rollout.steps import promote
from daybreak_operator.core.deployment.state import (
    CandidateModel,
    ColdStartStages,
    RetiredModel,
    RolloutState,
    StableModel,
)
from daybreak_operator.core.deployment.status.codec import read, write
from daybreak_operator.core.times import seconds_of
from tests.operator.deployment.world import M1, M2, M3, START, World, model, serving_world

DIGESTS = st.sampled_from([M1, M2, M3])
TIMES = st.integers(0, 4_000_000_000).map(float)
STAGE = st.none() | st.integers(0, 1800)
STATES = st.builds(
    RolloutState,
    stable=st.none() | st.builds(StableModel, DIGESTS, st.text(max_size=9), TIMES),
    candidate=st.none()
    | st.builds(
        CandidateModel,
        digest=DIGESTS,
        uri=st.text(max_size=9),
        source=st.text(max_size=9),
        stage=st.sampled_from(["Pending", "Warm", "Shadow", "Ramp", "Paused", "RolledBack", "Everyone"]),
        since=TIMES,
        weight=st.integers(0, 100),
        verdict=st.text(max_size=9),
    ),
    rejected=st.lists(DIGESTS, max_size=3).map(tuple),
    retired=st.lists(st.builds(RetiredModel, DIGESTS, TIMES), max_size=3).map(tuple),
    rollout_digest=st.text(max_size=9),
    routing=st.none()
    | st.builds(Routing, version=st.integers(0, 9), salt=st.text(max_size=3), stable=DIGESTS),
    asleep_since=st.none() | TIMES,
    woken_at=st.none() | TIMES,
    cold_start_s=st.none() | st.integers(0, 1800),
    cold_start=st.none() | st.builds(ColdStartStages, STAGE, STAGE, STAGE, STAGE),
)


@given(STATES)
def test_what_was_written_is_read(state: RolloutState) -> None:
    assert read(write(state)) == state


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(None, id="none-at-all"),
        pytest.param({}, id="an-empty-one"),
        pytest.param({"stable": None, "candidate": {}, "routing": {"version": 3}}, id="halves"),
        pytest.param({"routing": {"document": {"version": "x"}}}, id="a-routing-document-that-is-none"),
        pytest.param({"candidate": {"digest": M1}}, id="an-older-operators"),
    ],
)
def test_a_status_of_another_shape_is_no_obstacle(status: dict[str, Any] | None) -> None:
    read(status)
    world = World()
    body = {**world.deployment(), "status": status}
    plan = decide(DeploymentObservation(deployment=body), START)
    assert plan.status["routing"]["version"] >= 1
    assert plan.apply != ()


def test_a_time_that_is_none_counts_as_long_ago() -> None:
    assert seconds_of("yesterday") == seconds_of(None) == 0.0


@pytest.mark.slow
def test_the_memory_of_zones_comes_back_for_both_models() -> None:
    world = serving_world()
    world.change(model=model(M2))
    world.run(60)
    state = read(world.status)
    assert {learned.ready for learned in state.memory.offerings.values()} == {1}
    assert sorted(learned.ready for learned in state.candidate_memory.offerings.values()) == [0, 1]
    assert state.memory.needed == 2
    world.switch(everyone=True, guardrails={"minRequests": 0})
    world.run(600)
    state = read(world.status)
    assert state.stable is not None
    assert state.stable.digest == M2
    assert {learned.ready for learned in state.memory.offerings.values()} == {1}
    assert state.candidate_memory.offerings == {}


def test_staff_who_got_the_last_candidate_did_not_get_this_one() -> None:
    candidate = CandidateModel(M3, "s3://m", "spec", "Pending", 0.0)
    routing = Routing(version=1, salt="s", stable=M1, candidate=M2, staff=True)
    assert not RolloutState(candidate=candidate, routing=routing).staff_served
    assert RolloutState(
        candidate=candidate, routing=routing.model_copy(update={"candidate": M3})
    ).staff_served


def test_a_promotion_hands_over_what_the_new_model_holds_and_keeps_what_the_load_needs() -> None:
    place = ("l4", "a")
    old = PlacementMemory(offerings={place: Learned(ready=5, desired=5, failures=2, retry_at=99)}, needed=4)
    new = PlacementMemory(offerings={place: Learned(ready=3, desired=4, up_since=7)}, needed=1)
    candidate = CandidateModel(M2, "s3://m2", "spec", "Everyone", 0.0, 100)
    state = RolloutState(StableModel(M1, "s3://m1", 0.0), candidate, memory=old, candidate_memory=new)
    after = promote(state, 10.0)
    assert (after.stable, after.retired) == (StableModel(M2, "s3://m2", 10.0), (RetiredModel(M1, 10.0),))
    held = Learned(ready=3, desired=4, up_since=7, failures=2, retry_at=99)
    assert after.memory == PlacementMemory(offerings={place: held}, needed=4)
    assert after.candidate_memory == PlacementMemory()
