"""Falling asleep when nobody asks, and waking for the first who does: by the decision itself, and as whole plays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_contracts.metrics_snapshot import GatewaySnapshot
from daybreak_contracts.routing import START_GOES_ON_S
from daybreak_operator.core.deployment.decide import decide
from daybreak_operator.core.deployment.observed.observation import DeploymentObservation
from daybreak_operator.core.deployment.rollout.sleep import HOLD_S, Activity, activity_of
from tests.operator.deployment.world import M1, M2, Traffic, World, a_spec, model

pytestmark = pytest.mark.slow

QUIET_S = 120
GOOD = Traffic(requests=20, shown=20, accepted=6)


def a_world(quiet_s: int = QUIET_S, **parts: Any) -> World:
    """A world whose first model serves everyone and that may sleep."""
    spec = a_spec(scaling={"spareSpotReplicas": 0, "scaleToZeroSeconds": quiet_s}, **parts)
    if "replicas" not in parts:
        del spec["replicas"]
    world = World(spec=spec)
    world.switch(everyone=True)
    world.run(60)
    assert (world.stable, world.ready(M1) > 0) == (M1, True)
    return world


def asleep(**parts: Any) -> World:
    """Such a world, asleep."""
    world = a_world(**parts)
    world.run(2 * QUIET_S)
    assert is_asleep(world)
    return world


def is_asleep(world: World) -> bool:
    asked = [
        child["spec"]["replicas"]
        for (kind, _), child in world.children.items()
        if kind == "Deployment" and child["metadata"]["labels"][names.LABEL_ROLE] == names.ROLE_ENGINE
    ]
    assert ("asleepSince" in world.status) == (sum(asked) == 0)
    return "asleepSince" in world.status


def told(world: World, *reasons: str) -> list[tuple[str, str]]:
    return [event for event in world.events if event[1] in reasons or event[0] == "Warning"]


AT = 1_000_000.0


def reading(name: str = "g-0", **parts: Any) -> GatewaySnapshot:
    """One gateway's: up for long, quiet for an hour."""
    quiet = {"started": AT - 9000, "at": AT, "quiet_since": AT - 3600}
    return GatewaySnapshot(instance=name, **{**quiet, **parts})


IDLE = Activity(is_complete=True)
WANTED = Activity(is_wanted=True)
UNKNOWN = Activity()


@pytest.mark.parametrize(
    ("readings", "activity"),
    [
        pytest.param([{}, {}], IDLE, id="both-quiet-for-an-hour"),
        pytest.param([], UNKNOWN, id="nobody-tells"),
        pytest.param([{}], UNKNOWN, id="only-one-of-two-tells"),
        pytest.param([{}, {"quiet_since": None}], UNKNOWN, id="one-is-older-and-does-not-say"),
        pytest.param([{}, {"quiet_since": AT - 100}], WANTED, id="somebody-asked-lately"),
        pytest.param([{"quiet_since": AT - 600}, {}], IDLE, id="somebody-asked-just-long-enough-ago"),
        pytest.param(
            [{}, {"started": AT - 100, "quiet_since": AT - 100}], UNKNOWN, id="one-has-just-started"
        ),
        pytest.param([{}, {"inflight": 1}], replace(WANTED, is_complete=True), id="one-is-answered-for-long"),
        pytest.param([{}, {"held": 1}], replace(WANTED, is_complete=True), id="one-waits-for-a-place"),
        pytest.param([{"waking": 1}], WANTED, id="one-waits-for-an-engine-and-one-gateway-is-silent"),
    ],
)
def test_who_asks(readings: list[dict[str, Any]], activity: Activity) -> None:
    snapshots = tuple(reading(f"g-{number}", **parts) for number, parts in enumerate(readings))
    observed = DeploymentObservation(deployment={}, snapshots=snapshots)
    assert activity_of(observed, 2, 600) == activity


@pytest.mark.parametrize(
    ("silent", "is_hidden"),
    [
        pytest.param({}, False, id="none-is-silent"),
        pytest.param({"g-9": 20.0}, False, id="one-for-a-moment"),
        pytest.param({"g-9": 60.0}, True, id="one-for-long"),
    ],
)
def test_a_gateway_that_tells_nothing_may_hold_requests_that_nobody_sees(
    silent: dict[str, float], is_hidden: bool
) -> None:
    snapshots = (reading("g-0"), reading("g-1"))
    observed = DeploymentObservation(deployment={}, snapshots=snapshots, silent=silent)
    assert activity_of(observed, 2, 600) == Activity(is_complete=True, is_hidden=is_hidden)


class TestFallingAsleep:
    def test_takes_all_replicas_and_says_so_without_alarm(self) -> None:
        world = a_world()
        world.run(QUIET_S - 60)
        assert not is_asleep(world)
        world.run(QUIET_S)
        assert is_asleep(world)
        assert world.pods() == []
        assert {kind: world.condition(kind) for kind in ("Ready", "RolloutHealthy", "CapacityAvailable")} == {
            "Ready": ("True", "Asleep"),
            "RolloutHealthy": ("True", "NoRollout"),
            "CapacityAvailable": ("True", "Enough"),
        }
        assert world.condition("Reconciling") == ("False", "Settled")
        assert world.condition("Stalled") == ("False", "NotStalled")
        assert told(world, "ScaledToZero", "Woken") == [("Normal", "ScaledToZero")]
        assert (world.status["replicas"], world.status["costPerHour"]) == (0, "0.00")
        assert world.routing.wake_seconds == HOLD_S
        assert 15 <= world.routing.cold_start_seconds <= 30

    def test_costs_no_looks_while_it_sleeps(self) -> None:
        world = asleep()
        writes = world.writes
        assert world.run_lazily(600) <= 2
        assert world.writes == writes

    def test_is_not_what_happens_without_the_field(self) -> None:
        spec = a_spec(scaling={"spareSpotReplicas": 0})
        del spec["replicas"]
        world = World(spec=spec)
        world.switch(everyone=True)
        world.run(7200, step=60)
        assert (world.ready(M1), world.routing.wake_seconds) == (1, 0)

    def test_is_not_what_happens_to_a_fixed_number(self) -> None:
        world = a_world(replicas=2)
        world.run(2 * QUIET_S)
        assert (is_asleep(world), world.ready(M1), world.routing.wake_seconds) == (False, 2, 0)

    @pytest.mark.parametrize(
        "trouble",
        [
            pytest.param({"unread": True}, id="no-gateway-can-be-read"),
            pytest.param({"num_telling": 1}, id="one-gateway-cannot-be-read"),
            pytest.param({"quiet_since": None}, id="a-gateway-does-not-say-how-long-it-was-quiet"),
            pytest.param({"inflight": 1}, id="a-request-is-answered"),
        ],
    )
    def test_waits_while_somebody_asks_or_may_ask(self, trouble: dict[str, Any]) -> None:
        world = a_world()
        for name, value in trouble.items():
            setattr(world, name, value)
        world.run(3 * QUIET_S)
        assert not is_asleep(world)

    def test_begins_anew_with_each_request(self) -> None:
        world = a_world()
        for _ in range(6):
            world.ask()
            world.run(QUIET_S - 20)
            assert not is_asleep(world)
        world.run(60)
        assert is_asleep(world)


class TestWaking:
    def test_takes_one_look_at_a_held_request(self) -> None:
        world = asleep()
        world.ask()
        world.waking = 1
        world.look()
        assert not is_asleep(world)
        assert len(world.pods()) == 1
        assert world.condition("Ready") == ("True", "Waking")
        assert world.condition("Reconciling") == ("True", "Scaling")
        world.run(30)
        world.waking = 0
        world.look()
        assert world.condition("Ready") == ("True", "Serving")
        assert told(world, "ScaledToZero", "Woken") == [("Normal", "ScaledToZero"), ("Normal", "Woken")]

    def test_many_who_wait_for_it_do_not_make_it_large(self) -> None:
        """Who waits through a start says nothing of the load: after it one replica is enough."""
        world = asleep()
        world.ask()
        world.waking = 60
        world.run(60)
        assert len(world.pods()) == 1

    def test_goes_on_though_who_asked_has_left(self) -> None:
        world = asleep()
        world.warm_s = 4 * QUIET_S  # longer than the quiet time
        world.ask()
        world.run(4 * QUIET_S + 10)
        assert world.ready(M1) == 1
        world.run(QUIET_S - 30)
        assert not is_asleep(world), "who woke it must find it when coming again"
        world.run(60)
        assert is_asleep(world)
        assert told(world, "ScaledToZero", "Woken") == [
            ("Normal", "ScaledToZero"),
            ("Normal", "Woken"),
            ("Normal", "ScaledToZero"),
        ]

    def test_is_given_up_when_no_machine_comes_and_nobody_asks_any_more(self) -> None:
        world = asleep()
        world.machines = {"a": 0, "b": 0}
        world.ask()
        world.run(START_GOES_ON_S - 60)
        assert (is_asleep(world), world.condition("Ready")) == (False, ("True", "Waking"))
        world.run(120)
        assert is_asleep(world)

    def test_is_an_alarm_when_no_machine_comes_and_people_still_ask(self) -> None:
        world = asleep()
        world.machines = {"a": 0, "b": 0}
        for _ in range(START_GOES_ON_S // 60 + 1):
            world.ask()
            world.run(60)
        assert (is_asleep(world), world.condition("Ready")) == (False, ("False", "NoReplicaReady"))

    def test_goes_where_there_are_machines_now(self) -> None:
        world = asleep()
        assert {zone["desired"] for zone in world.status["zones"]} == {0}
        world.machines = {"a": 0, "b": 8}
        world.ask()
        world.run(400)
        world.ask()
        world.run(30)
        assert world.ready(M1) == 1

    @pytest.mark.parametrize(("silent_for_s", "wakes"), [(30, False), (90, True)])
    def test_comes_of_a_gateway_that_serves_and_cannot_be_read(self, silent_for_s: int, wakes: bool) -> None:
        world = asleep()
        silent = {"completions-gateway-7": float(silent_for_s)}
        plan = decide(replace(world.observed(), silent=silent), world.now)
        assert ("asleepSince" not in plan.status) == wakes

    def test_does_not_come_of_an_operator_that_has_not_read_anything_yet(self) -> None:
        world = asleep()
        plan = decide(replace(world.observed(), snapshots=()), world.now)
        assert "asleepSince" in plan.status

    def test_is_looked_for_while_a_gateway_is_not_read(self) -> None:
        world = asleep()
        world.num_telling = 1
        wait = world.plan().requeue_after_s
        assert wait is not None
        assert wait <= 60

    def test_does_not_come_of_gateways_that_are_silent_for_a_moment(self) -> None:
        world = asleep()
        world.unread = True
        world.run(30)
        assert is_asleep(world)

    def test_is_what_taking_the_field_out_does(self) -> None:
        world = asleep()
        world.change(scaling={"spareSpotReplicas": 0})
        world.run(30)
        assert (world.ready(M1), world.condition("Ready")) == (1, ("True", "Serving"))
        assert "asleepSince" not in world.status


class TestRollouts:
    def test_a_ramp_keeps_it_awake(self) -> None:
        world = a_world()
        world.ask()
        world.change(model=model(M2))
        world.run(30)
        world.run(4 * QUIET_S)
        assert (world.weight, is_asleep(world)) == (1, False)

    def test_a_model_that_nobody_gets_does_not(self) -> None:
        world = a_world()
        world.switch(everyone=False)
        world.change(model=model(M2))
        world.run(40)
        assert world.stage == "Shadow"
        world.run(2 * QUIET_S)
        assert (world.stage, world.pods(), is_asleep(world)) == ("Pending", [], True)

    def test_staff_alone_do_not_either(self) -> None:
        world = a_world()
        world.switch(everyone=False, staff=True)
        world.change(model=model(M2))
        world.run(40)
        assert (world.stage, world.routing.staff) == ("Staff", True)
        world.run(2 * QUIET_S)
        assert (is_asleep(world), world.routing.staff) == (True, False)
        world.ask()
        world.run(60)
        assert (world.ready(M1), world.ready(M2), world.stage) == (1, 1, "Staff")

    def test_a_new_model_waits_for_the_request_that_wakes_the_old_one(self) -> None:
        world = asleep()
        world.change(model=model(M2))
        world.run(600)
        assert (is_asleep(world), world.stage, world.pods()) == (True, "Pending", [])
        assert world.condition("RolloutHealthy") == ("True", "Asleep")
        assert world.condition("Reconciling") == ("False", "Settled")
        world.traffic[M1] = world.traffic[M2] = GOOD
        for _ in range(300):
            world.ask()
            world.run(5)
            if world.stable == M2:
                break
        assert world.stable == M2
        world.traffic.clear()
        world.run(3 * QUIET_S)
        assert (is_asleep(world), world.pods()) == (True, [])

    def test_the_first_model_is_loaded_whoever_asks(self) -> None:
        spec = a_spec(scaling={"spareSpotReplicas": 0, "scaleToZeroSeconds": 10})
        del spec["replicas"]
        world = World(spec=spec)
        world.run(600)
        assert (world.stage, world.ready(M1)) == ("Warm", 1)


def test_a_lost_status_neither_wakes_it_nor_makes_gateways_turn_requests_away() -> None:
    world = asleep()
    world.status = {}
    world.run(20)
    assert (is_asleep(world), world.pods(), world.routing.wake_seconds) == (True, [], HOLD_S)


def test_without_gateways_nobody_holds_a_request() -> None:
    world = asleep()
    for (kind, _), child in world.children.items():
        if kind == "Deployment" and child["metadata"]["labels"][names.LABEL_ROLE] == names.ROLE_GATEWAY:
            child["status"] = {"readyReplicas": 0}
    ready = next(one for one in world.plan().status["conditions"] if one["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "GatewayNotReady")
