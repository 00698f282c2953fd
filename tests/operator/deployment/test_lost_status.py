"""A ModelDeployment that comes back without its status: at every moment of a rollout the stable model goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from daybreak_contracts import names
from tests.operator.deployment.world import M1, M2, Traffic, World, model, serving_world

GOOD = Traffic(requests=20, shown=20, accepted=6)
BAD = Traffic(requests=20, errors=20)
RECORD = ("ConfigMap", names.record_name("completions"))


def lose(world: World) -> None:
    """A backup's restore, or delete and apply: the spec is there, the status is not."""
    world.status = {}


@pytest.mark.slow
@pytest.mark.parametrize("switches", [{}, {"staff": True}, {"staff": True, "everyone": True}])
def test_gateways_that_cannot_be_read_are_told_of(switches: dict[str, bool]) -> None:
    world = serving_world()
    world.unread = True
    world.change(model=model(M2))
    world.switch(**switches)
    world.run(120)
    assert world.condition("RolloutHealthy") == ("Unknown", "GatewaysUnread")
    world.run(1000)
    assert world.condition("RolloutHealthy") == ("False", "GatewaysUnread")
    assert world.condition("Ready")[0] == "True"
    world.unread = False
    world.run(10)
    assert world.condition("RolloutHealthy")[1] != "GatewaysUnread"


def rolling() -> World:
    world = serving_world()
    world.change(model=model(M2))
    world.traffic[M2] = GOOD
    world.switch(staff=True, everyone=True)
    return world


def check(world: World, stable: str, seconds: int = 600) -> None:
    """No routing since the loss sends those to nobody who had the stable model; versions only rise."""
    before = world.routings[-1].version
    first = len(world.routings)
    world.run(seconds)
    given = world.routings[first:]
    assert given
    assert all(routing.stable is not None for routing in given)
    assert given[0].stable == stable
    versions = [before, *(routing.version for routing in given)]
    assert versions == sorted(set(versions))
    assert ("Warning", "ProductionRecovered") in world.events
    assert world.condition("Ready") == ("True", "Serving")


@pytest.mark.slow
@pytest.mark.parametrize("after", range(0, 900, 45))
def test_the_stable_model_goes_on_at_every_moment_of_a_rollout(after: int) -> None:
    world = rolling()
    world.run(after)
    stable = world.stable
    assert stable is not None
    lose(world)
    check(world, stable)


@pytest.mark.slow
@pytest.mark.parametrize("behind", [False, True], ids=["gateways answer", "gateways do not answer"])
def test_gateways_that_do_not_answer_hear_of_it_too(behind: bool) -> None:
    """Without a reading the newest version is known by the record alone."""
    world = serving_world()
    world.behind = behind
    lose(world)
    check(world, M1)


@pytest.mark.slow
def test_a_record_that_lags_one_write_behind_the_status_gives_no_version_twice() -> None:
    world = rolling()
    world.behind = True
    world.run(300)
    old = json.dumps(world.children[RECORD])
    version = world.routings[-1].version
    while world.routings[-1].version == version:
        world.run(5)
    world.children[RECORD] = json.loads(old)
    lose(world)
    check(world, M1 if world.stable is None else world.stable, 60)


@pytest.mark.slow
def test_a_model_that_was_refused_stays_refused() -> None:
    world = rolling()
    world.traffic[M2] = BAD
    world.run(600)
    assert world.stage == "RolledBack"
    lose(world)
    world.run(300)
    assert (world.stage, world.stable, world.status["rejected"]) == ("RolledBack", M1, [M2])


@pytest.mark.slow
def test_pods_that_are_gone_as_well_are_made_again_for_the_model_in_production() -> None:
    world = rolling()
    world.run(100)
    assert world.stable == M1
    record = world.children[RECORD]
    lose(world)
    world.children = {RECORD: record}
    world.run(600)
    assert world.pods(M1) or world.stable == M2
    assert all(routing.stable is not None for routing in world.routings[-3:])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"stable": 3}', '{"stable": {"digest": 3}, "routingVersion": "x"}', '{"rejected": 1}'],
)
def test_a_record_that_cannot_be_read_is_no_record(text: str) -> None:
    world = serving_world()
    world.children[RECORD]["data"] = {"production.json": text}
    world.status = {}
    world.look()
    assert world.stable is None


def test_nothing_is_remembered_before_a_model_was_promoted() -> None:
    world = World()
    world.run(60)
    assert RECORD not in world.children


def test_a_name_of_a_record_that_is_not_ours_is_left_alone() -> None:
    from daybreak_operator.shell.reconcile import drift

    mine: dict[str, Any] = {"metadata": {"name": "x-production", "labels": {}}}
    assert not drift.is_record(mine)
