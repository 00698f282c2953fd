"""A rollout where no machine is to spare: the candidate takes over those of the stable model, and users have enough."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_operator.core.deployment.rollout import in_place
from daybreak_operator.core.deployment.state import CandidateModel
from tests.operator.deployment.world import M1, M2, Traffic, World, a_spec, model, serving_world

pytestmark = pytest.mark.slow

GOOD = Traffic(requests=50, shown=50, accepted=15)
RAMP = [1, 5, 10, 25, 50, 100]


def scarce(replicas: int, **parts: Any) -> World:
    """A world with exactly the machines that the stable model has."""
    pool = {"name": "l4", "accelerator": "x", "zones": ["a", "b"], "max": 3 * replicas}
    parts = {"pools": [pool], **parts}
    machines = {"a": replicas - replicas // 2, "b": replicas // 2}
    rollout = {"soakSeconds": 60, "ramp": RAMP, "guardrails": {"minRequests": 100}}
    world = serving_world(spec=a_spec(replicas=replicas, rollout=rollout, **parts), machines=machines)
    world.change(model=model(M2))
    world.switch(everyone=True)
    world.traffic[M2] = GOOD
    return world


def needed(share: int, replicas: int) -> int:
    return -(-replicas * share // 100)


def watch(world: World, replicas: int, seconds: int) -> list[int]:
    """Let time pass; return the shares that were given, and hold at each look that users had enough."""
    shares: list[int] = []
    for _ in range(0, seconds, 5):
        world.look()
        weight = world.weight if world.stable == M1 else 100
        if not shares or shares[-1] != weight:
            shares.append(weight)
        old, new = world.ready(M1), world.ready(M2)
        if world.stable == M1:
            assert old >= max(1, needed(100 - weight, replicas) - 1), (old, new, weight)
        assert not weight or new >= max(1, needed(weight, replicas) - 1), (old, new, weight)
        world.tick(5)
        if world.stable == M2 and world.ready(M2) == replicas:
            break
    return shares


@pytest.mark.parametrize("replicas", [2, 3, 4, 10])
def test_the_candidate_takes_the_machines_over_one_by_one(replicas: int) -> None:
    world = scarce(replicas)
    shares = watch(world, replicas, 4 * 3600)
    assert world.stable == M2
    assert world.ready(M2) == replicas
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert world.pods(M1) == []
    assert world.condition("RolloutHealthy") == ("True", "NoRollout")
    assert "inPlace" not in world.status["candidate"]


def test_it_is_told_and_begins_when_a_machine_was_waited_for() -> None:
    world = scarce(2)
    world.run(600)
    assert world.condition("RolloutHealthy") == ("False", "Starved")
    assert world.ready(M1) == 2
    world.run_until(M2, weight=1)
    assert "that the stable model gives up" in world.message("RolloutHealthy")
    assert (world.ready(M1), world.ready(M2)) == (1, 1)


def test_a_rollout_that_shall_be_in_place_asks_for_no_other_machine() -> None:
    """As ``maxSurge: 0`` of a Deployment: who knows that there is none to spare need not wait for it."""
    world = scarce(2)
    world.switch(everyone=True, inPlace=True)
    began = world.now
    world.run_until(M2, weight=1)
    assert (world.now - began).total_seconds() < 300
    assert (world.ready(M1), world.ready(M2)) == (1, 1)
    assert len(world.pods()) == 2
    watch(world, 2, 4 * 3600)
    assert world.stable == M2


def test_pools_that_are_full_are_no_end_either() -> None:
    pools = [{"name": "l4", "accelerator": "x", "zones": ["a"], "max": 2}]
    world = serving_world(spec=a_spec(pools=pools))
    world.change(model=model(M2))
    world.switch(everyone=True)
    world.traffic[M2] = GOOD
    watch(world, 2, 4 * 3600)
    assert world.stable == M2


@pytest.mark.parametrize(
    ("replicas", "everyone", "why"),
    [
        pytest.param(1, True, "users would have nothing", id="one-replica"),
        pytest.param(2, False, "nobody shall have it", id="for-nobody"),
    ],
)
def test_a_replica_is_not_given_up_where(replicas: int, everyone: bool, why: str) -> None:
    world = scarce(replicas)
    world.switch(everyone=everyone)
    world.run(1200)
    assert world.ready(M1) == replicas, why
    assert world.stable == M1


def test_a_load_that_is_followed_gives_nothing_up() -> None:
    """How many are needed is measured there, and a measured need has no replica to spare."""
    spec = {name: part for name, part in a_spec().items() if name != "replicas"}
    world = serving_world(spec=spec, machines={"a": 1})
    world.change(model=model(M2))
    world.switch(everyone=True)
    world.run(1200)
    assert world.ready(M1) == 1
    assert "inPlace" not in world.status["candidate"]


def test_a_stable_model_that_is_short_itself_gives_nothing_up() -> None:
    world = scarce(2)
    world.machines = {"a": 1, "b": 0}
    for pod in world.pods(M1)[1:]:
        del world.children["Pod", pod["metadata"]["name"]]
    world.run(1200)
    assert world.ready(M1) == 1
    assert world.stable == M1


def test_a_rollback_gives_the_machine_back() -> None:
    world = scarce(3)
    world.traffic[M2] = Traffic(requests=50, errors=25)
    for _ in range(120):
        world.run(30)
        if world.stage == "RolledBack":
            break
    assert world.stage == "RolledBack"
    world.run(120)
    assert world.stable == M1
    assert world.ready(M1) == 3
    assert world.pods(M2) == []


@settings(max_examples=200, deadline=None)
@given(
    together=st.integers(2, 200),
    ramp=st.sets(st.integers(1, 99), max_size=6),
)
def test_every_number_of_replicas_comes_to_its_end(together: int, ramp: set[int]) -> None:
    """By the numbers alone: as many as the stable model gives up begin, then the next share is given."""
    spec = ModelDeploymentSpec.model_validate(
        a_spec(replicas=together, rollout={"everyone": True, "ramp": [*sorted(ramp), 100]})
    )
    weight, given_shares = 0, 0
    while weight < 100:
        ready = together - in_place.stays(together, weight)
        assert 1 <= ready < together
        candidate = CandidateModel(M2, "s3://m", "spec", "Ramp", 0.0, weight)
        share = in_place.next_share(candidate, spec, together, ready)
        assert share > weight
        assert needed(share, together) - in_place.slack(together) <= ready
        weight, given_shares = share, given_shares + 1
    assert given_shares <= 100
