"""Stage Shadow: a warm model that nobody shall have yet sees some of the stable model's requests, unseen itself."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_contracts.metrics_snapshot import GatewaySnapshot, ModelCounters
from daybreak_contracts.resources.deployment import Guardrails
from daybreak_contracts.routing import choose
from daybreak_operator.core.deployment.rollout.guardrails import Counts, judge_mirrored, mirrored_of
from daybreak_operator.core.deployment.rollout.routing import SHADOW_PERCENT
from tests.operator.deployment.world import M1, M2, Traffic, World, a_spec, model, serving_world

GOOD = Traffic(requests=5)
BAD = Traffic(requests=5, errors=3)


def in_shadow(mirrored: Traffic = GOOD, **rollout: Any) -> World:
    """M1 serves everyone, M2 is warm."""
    world = serving_world(spec=a_spec(replicas=4))
    world.switch(**rollout)
    world.mirrored = mirrored
    world.change(model=model(M2))
    for _ in range(20):
        world.run(5)
        if world.stage == "Shadow":
            return world
    raise AssertionError(f"stays in {world.stage}")


@pytest.mark.slow
def test_a_tenth_is_mirrored_and_nobody_gets_it() -> None:
    world = in_shadow()
    world.run(60)
    routing = world.routing
    assert (routing.stable, routing.candidate, routing.shadow_percent) == (M1, M2, SHADOW_PERCENT)
    assert (routing.staff, routing.weight) == (False, 0)
    assert {choose(routing, f"user-{number}", ("staff",)) for number in range(200)} == {M1}
    assert world.condition("Ready") == ("True", "Serving")
    assert world.condition("RolloutHealthy") == ("True", "Progressing")
    assert "is in stage Shadow" in world.message("RolloutHealthy")
    assert world.condition("Reconciling") == ("False", "Settled")
    assert world.status["candidate"]["verdict"] == "of mirrored requests: within its guardrails"


@pytest.mark.slow
def test_no_replica_is_added_for_what_is_mirrored() -> None:
    world = in_shadow(Traffic(requests=1000))
    world.run(120)
    assert (world.ready(M1), world.ready(M2), len(world.pods())) == (4, 1, 5)


def test_the_first_model_is_warm_and_nothing_is_mirrored() -> None:
    world = World()
    world.run(60)
    assert (world.stage, world.routing.shadow_percent) == ("Warm", 0)


@pytest.mark.parametrize(
    ("switches", "stage"),
    [
        pytest.param({"staff": True}, "Staff", id="to staff"),
        pytest.param({"everyone": True}, "Ramp", id="to everyone"),
        pytest.param({"staff": True, "everyone": True}, "Staff", id="to staff first"),
    ],
)
def test_a_switch_waits_for_nothing_not_even_for_mirrored_requests_that_fail(
    switches: dict[str, bool], stage: str
) -> None:
    world = in_shadow()
    world.run(10)  # the window has begun
    world.mirrored = BAD
    world.tick(600)
    world.switch(**switches)
    world.look()
    assert (world.stage, world.routing.shadow_percent) == (stage, 0)
    assert (world.routing.staff, world.routing.weight > 0) == (stage == "Staff", stage == "Ramp")


def test_nothing_is_mirrored_while_a_switch_is_on_and_machines_are_waited_for() -> None:
    world = in_shadow(ramp=[50, 100])
    world.switch(everyone=True)
    world.look()
    assert (world.stage, world.routing.weight, world.routing.shadow_percent) == ("Warm", 0, 0)
    world.run(60)
    assert (world.stage, world.routing.weight) == ("Ramp", 50)


@pytest.mark.slow
def test_a_model_that_fails_is_rejected_before_anybody_had_it() -> None:
    world = in_shadow(BAD)
    world.run(300)
    assert (world.stage, world.status["rejected"], world.stable) == ("RolledBack", [M2], M1)
    assert (world.routing.candidate, world.routing.shadow_percent) == (None, 0)
    assert world.condition("RolloutHealthy") == ("False", "RolledBack")
    assert "of mirrored requests: 60 % of requests failed" in world.message("RolloutHealthy")
    assert not any(routing.weight or routing.staff for routing in world.routings if routing.candidate == M2)
    assert world.events.count(("Warning", "RolledBack")) == 1
    assert world.pods(M2) == []


def test_one_that_shall_be_held_is_held_and_goes_on_by_a_switch() -> None:
    world = in_shadow(BAD, onBreach="Hold")
    world.run(120)
    assert (world.stage, world.status["rejected"], world.routing.shadow_percent) == ("Paused", [], 0)
    assert world.condition("RolloutHealthy") == ("False", "Paused")
    assert "held before anybody got it: of mirrored requests" in world.message("RolloutHealthy")
    world.switch(staff=True)
    world.look()
    assert (world.stage, world.routing.staff) == ("Staff", True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stable", "mirrored"),
    [
        pytest.param(Traffic(requests=50, errors=30), BAD, id="an outage of both models"),
        pytest.param(Traffic(requests=50), Traffic(), id="no requests"),
        pytest.param(Traffic(requests=50), GOOD, id="a model that answers"),
    ],
)
def test_it_stays_so_without_a_fault_of_its_own(stable: Traffic, mirrored: Traffic) -> None:
    world = in_shadow(mirrored)
    world.traffic[M1] = stable
    world.run(600)
    assert (world.stage, world.status["rejected"]) == ("Shadow", [])


def test_what_failed_before_a_switch_was_turned_and_back_counts_no_more() -> None:
    world = in_shadow(ramp=[50, 100])
    world.run(10)
    world.mirrored = BAD
    world.tick(600)  # seen by nobody before the switch
    world.switch(staff=True)
    world.run(10)
    world.mirrored = GOOD
    world.switch(staff=False)
    world.look()
    assert (world.stage, world.routing.shadow_percent, world.routing.staff) == (
        "Shadow",
        SHADOW_PERCENT,
        False,
    )
    assert "of mirrored requests: waits for 100" in world.status["candidate"]["verdict"]
    world.run(120)
    assert (world.stage, world.status["rejected"]) == ("Shadow", [])


def test_nothing_is_mirrored_to_a_model_without_replicas() -> None:
    world = in_shadow()
    for pod in world.pods(M2):
        world.set_ready(pod, "False")
    world.look()
    assert (world.stage, world.routing.shadow_percent) == ("Verified", 0)
    for pod in world.pods(M2):
        world.set_ready(pod, "True")
    world.look()
    assert (world.stage, world.routing.shadow_percent) == ("Shadow", SHADOW_PERCENT)


def test_its_stage_is_written_once_and_an_idle_minute_writes_nothing() -> None:
    world = in_shadow(Traffic())
    world.traffic = {}
    events = [reason for _, reason in world.events]
    assert events.count("Shadow") == 1
    world.run(10)
    before, told = world.writes, len(world.events)
    world.run(120)
    assert (world.writes, len(world.events)) == (before, told)


def test_the_pass_that_begins_it_says_all_that_the_next_one_would() -> None:
    world = serving_world()
    world.mirrored = Traffic()
    world.change(model=model(M2))
    while world.stage != "Shadow":
        world.tick(1)
        world.look()
    before = (world.writes, world.status["candidate"])
    world.tick(3)
    plan = world.plan()
    assert plan.status["candidate"] == before[1]
    assert plan.events == ()


BOUNDS = Guardrails()


@pytest.mark.parametrize(
    ("candidate", "stable", "expected"),
    [
        pytest.param(Counts(requests=199, errors=199), Counts(requests=2000), "Waiting", id="too few to say"),
        pytest.param(Counts(requests=200, errors=100), Counts(requests=2000), "Broken", id="errors"),
        pytest.param(Counts(requests=200, errors=4), Counts(requests=2000), "Within", id="by chance"),
        pytest.param(
            Counts(requests=200, errors=100),
            Counts(requests=2000, errors=1000),
            "Within",
            id="errors that the stable model has too",
        ),
        pytest.param(
            Counts(requests=200),
            Counts(requests=2000, shown=2000, accepted=2000),
            "Within",
            id="suggestions that nobody saw are not accepted",
        ),
    ],
)
def test_a_verdict_on_mirrored_requests(candidate: Counts, stable: Counts, expected: str) -> None:
    verdict = judge_mirrored(BOUNDS, candidate, stable)
    assert verdict.state == expected
    assert verdict.finding.message.startswith("of mirrored requests: ")


def reading(instance: str, started: float, requests: int, errors: int) -> GatewaySnapshot:
    models = {"m": ModelCounters(requests=900, errors=900, shadow_requests=requests, shadow_errors=errors)}
    return GatewaySnapshot(instance=instance, started=started, at=100.0, models=models)


def test_mirrored_requests_are_counted_since_the_stage_began_over_all_gateways() -> None:
    earlier = [reading("a", 1.0, 100, 50), reading("b", 1.0, 70, 7)]
    now = [reading("a", 1.0, 130, 51), reading("b", 2.0, 10, 2), reading("c", 3.0, 5, 0)]
    assert mirrored_of("m", now, earlier) == Counts(requests=45, errors=3)
    assert mirrored_of("other", now, earlier) == Counts()
