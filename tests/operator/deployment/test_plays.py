"""Whole rollouts, played against a small cluster."""

from __future__ import annotations

import pytest

from tests.operator.deployment.world import M1, M2, M3, Traffic, World, a_spec, model, serving_world

GOOD = Traffic(requests=20, shown=20, accepted=6)


class TestTheFirstModel:
    def test_nobody_gets_it_while_both_switches_are_off(self) -> None:
        world = World()
        world.run(60)
        assert (world.stage, world.stable) == ("Warm", None)
        assert world.condition("Ready") == ("False", "NotReleased")
        assert (world.routing.stable, world.routing.staff, world.routing.weight) == (None, False, 0)

    def test_staff_get_it_when_their_switch_is_on(self) -> None:
        world = World()
        world.switch(staff=True)
        world.run(60)
        assert (world.stage, world.stable) == ("Staff", None)
        assert world.condition("Ready") == ("False", "StaffOnly")
        assert (world.routing.candidate, world.routing.staff) == (M1, True)

    def test_it_serves_everyone_as_soon_as_it_is_warm_when_that_switch_is_on(self) -> None:
        world = World()
        world.switch(everyone=True)
        world.look()
        assert (world.stage, world.condition("Ready")) == ("Pending", ("False", "ModelLoading"))
        world.run(60)
        assert (world.stage, world.weight, world.stable) == ("Everyone", 100, M1)
        assert world.condition("Ready") == ("True", "Serving")
        assert world.condition("RolloutHealthy") == ("True", "NoRollout")
        assert world.condition("CapacityAvailable") == ("True", "Enough")
        assert world.condition("Reconciling") == ("False", "Settled")
        assert world.condition("Stalled") == ("False", "NotStalled")
        assert (world.status["replicas"], world.status["readyReplicas"]) == (2, 2)
        assert (world.status["zonesReady"], world.status["costPerHour"]) == ("2/2", "2.00")
        assert world.status["url"] == "http://completions-gateway.team.svc.cluster.local"


class TestASecondModel:
    @pytest.mark.slow
    def test_goes_from_shadow_over_staff_and_the_ramp_to_everyone(self) -> None:
        world = serving_world()
        world.change(model=model(M2))
        world.run(60)
        assert (world.stage, world.stable) == ("Shadow", M1)
        world.switch(staff=True)
        world.look()
        assert (world.stage, world.routing.staff, world.routing.weight) == ("Staff", True, 0)
        world.traffic[M2] = GOOD
        world.switch(everyone=True)
        world.run(900)
        weights = [routing.weight for routing in world.routings if routing.candidate == M2]
        assert list(dict.fromkeys(weights)) == [0, 1, 5, 10, 25, 50, 100]
        assert (world.stage, world.stable, world.routing.stable) == ("Everyone", M2, M2)
        assert world.pods(M1) == []
        assert world.ready(M2) == 2

    @pytest.mark.slow
    def test_needs_no_new_pod_to_be_promoted(self) -> None:
        world = serving_world()
        world.change(model=model(M2))
        world.switch(staff=True, everyone=True)
        world.traffic[M2] = GOOD
        world.run_until(M2, weight=100)
        before = {pod["metadata"]["name"] for pod in world.pods(M2)}
        world.run(120)
        assert world.stable == M2
        assert {pod["metadata"]["name"] for pod in world.pods(M2)} == before

    @pytest.mark.slow
    def test_is_rolled_back_and_not_tried_again_when_too_many_requests_fail(self) -> None:
        world = serving_world()
        world.change(model=model(M2))
        world.switch(staff=True, everyone=True)
        world.traffic[M2] = GOOD
        world.run_until(M2, weight=5)
        world.traffic[M2] = Traffic(requests=20, errors=4, shown=20, accepted=6)
        world.run(60)
        assert (world.stage, world.weight, world.stable) == ("RolledBack", 0, M1)
        assert (world.routing.candidate, world.routing.weight, world.routing.staff) == (None, 0, False)
        assert world.status["rejected"] == [M2]
        assert world.condition("RolloutHealthy") == ("False", "RolledBack")
        assert world.condition("Ready") == ("True", "Serving")
        assert "requests failed" in world.message("RolloutHealthy")
        world.change(replicas=3)
        world.run(120)
        assert (world.stage, world.pods(M2)) == ("RolledBack", [])
        world.traffic[M2] = GOOD
        world.switch(soakSeconds=30)
        world.run(60)
        assert world.stage in ("Staff", "Ramp")

    @pytest.mark.slow
    def test_goes_back_at_once_when_a_switch_is_turned_off(self) -> None:
        world = serving_world()
        world.change(model=model(M2))
        world.switch(staff=True, everyone=True)
        world.traffic[M2] = GOOD
        world.run_until(M2, weight=10)
        world.switch(everyone=False)
        world.look()
        assert (world.stage, world.routing.weight, world.routing.staff) == ("Staff", 0, True)
        world.switch(staff=False)
        world.look()
        assert (world.stage, world.routing.weight, world.routing.staff) == ("Shadow", 0, False)
        assert world.ready(M2) > 0

    def test_is_replaced_in_the_middle_of_its_ramp(self) -> None:
        world = serving_world()
        world.change(model=model(M2))
        world.switch(everyone=True)
        world.traffic[M2] = GOOD
        world.run_until(M2, weight=5)
        world.change(model=model(M3))
        world.look()
        assert (world.status["candidate"]["digest"], world.stage, world.weight) == (M3, "Pending", 0)
        assert (world.routing.candidate, world.routing.weight) == (M3, 0)
        assert world.pods(M2) != []
        world.run(60)
        assert world.pods(M2) == []

    @pytest.mark.slow
    def test_is_starved_while_no_zone_has_a_machine(self) -> None:
        world = serving_world(machines={"a": 1, "b": 1})
        world.change(model=model(M2))
        world.switch(everyone=True)
        world.run(600)
        assert (world.stage, world.stable) == ("Starved", M1)
        assert world.condition("RolloutHealthy") == ("False", "Starved")
        assert world.condition("Ready") == ("True", "Serving")
        world.machines = {"a": 8, "b": 8}
        world.traffic[M2] = GOOD
        world.run(2400)
        assert world.stable == M2

    def test_says_when_the_pools_are_too_small_for_two_models(self) -> None:
        world = serving_world(
            spec=a_spec(pools=[{"name": "l4", "accelerator": "x", "zones": ["a"], "max": 2}])
        )
        world.change(model=model(M2))
        world.run(60)
        assert world.stage == "Starved"
        assert "raise max of a pool" in world.message("RolloutHealthy")


class TestAGuardrailThatHolds:
    def broken(self) -> World:
        world = serving_world()
        world.change(model=model(M2))
        world.switch(everyone=True, onBreach="Hold")
        world.traffic[M2] = GOOD
        world.run_until(M2, weight=5)
        world.traffic[M2] = Traffic(requests=20, slow=10, shown=20, accepted=6)
        world.run(120)
        return world

    @pytest.mark.slow
    def test_keeps_its_users_and_goes_no_further(self) -> None:
        world = self.broken()
        assert (world.stage, world.weight, world.routing.weight) == ("Paused", 5, 5)
        assert world.condition("RolloutHealthy") == ("False", "Paused")
        assert "longer than 500 ms" in world.message("RolloutHealthy")
        assert world.condition("Reconciling") == ("False", "Settled")
        world.traffic[M2] = GOOD
        world.run(600)
        assert (world.stage, world.weight, world.status["rejected"]) == ("Paused", 5, [])

    @pytest.mark.slow
    def test_goes_on_when_the_spec_says_so(self) -> None:
        world = self.broken()
        world.traffic[M2] = GOOD
        world.switch(guardrails={"minRequests": 100, "maxP95LatencyMs": 5000})
        world.look()
        assert (world.stage, world.weight) == ("Ramp", 5)
        world.run(600)
        assert world.stable == M2

    @pytest.mark.slow
    def test_goes_back_when_the_switch_is_turned_off(self) -> None:
        world = self.broken()
        world.switch(everyone=False)
        world.look()
        assert (world.stage, world.routing.weight) == ("Shadow", 0)


class TestTheWayBack:
    @pytest.mark.slow
    def test_is_open_for_one_more_soak_after_everybody_got_it(self) -> None:
        world = serving_world()
        world.change(model=model(M2))
        world.switch(everyone=True)
        world.traffic[M2] = GOOD
        world.run_until(M2, weight=100)
        world.run(50)
        assert (world.stage, world.stable, world.ready(M1)) == ("Everyone", M1, 2)
        world.switch(everyone=False)
        world.look()
        assert (world.stage, world.routing.weight, world.stable) == ("Shadow", 0, M1)

    @pytest.mark.slow
    def test_leaves_the_old_models_pods_until_gateways_had_time_to_leave_it(self) -> None:
        world = serving_world()
        world.change(model=model(M2))
        world.switch(everyone=True)
        world.traffic[M2] = GOOD
        while world.stable == M1:
            world.run(5)
        world.run(20)
        assert world.ready(M1) == 2
        world.run(20)
        assert world.pods(M1) == []

    @pytest.mark.slow
    def test_is_closed_after_that_and_the_switch_speaks_of_the_next_model(self) -> None:
        world = serving_world()
        world.change(model=model(M2))
        world.switch(everyone=True)
        world.traffic[M2] = GOOD
        world.run(900)
        world.switch(everyone=False)
        world.run(60)
        assert (world.stage, world.stable, world.routing.stable) == ("Everyone", M2, M2)

    @pytest.mark.slow
    def test_is_taken_when_the_candidate_answers_no_more_and_begins_anew(self) -> None:
        world = serving_world()
        world.change(model=model(M2))
        world.switch(everyone=True)
        world.traffic[M2] = GOOD
        world.run_until(M2, weight=10)
        for pod in world.pods(M2):
            world.set_ready(pod, "False")
        world.look()
        assert (world.weight, world.routing.weight, world.routing.candidate) == (0, 0, M2)
        world.run(20)
        assert (world.stage, world.weight) == ("Ramp", 1)

    @pytest.mark.slow
    def test_is_asking_for_the_stable_model_again(self) -> None:
        world = serving_world()
        world.change(model=model(M2))
        world.switch(everyone=True)
        world.traffic[M2] = GOOD
        world.run_until(M2, weight=10)
        world.change(model=model(M1))
        world.look()
        assert (world.routing.candidate, world.routing.weight) == (None, 0)
        assert (world.status["candidate"]["digest"], world.stage) == (M1, "Everyone")


@pytest.mark.slow
def test_an_outage_of_both_models_is_nobodys_fault() -> None:
    world = serving_world()
    world.change(model=model(M2))
    world.switch(everyone=True)
    world.traffic = {M1: Traffic(requests=50, errors=10), M2: Traffic(requests=20, errors=4)}
    world.run(200)
    assert (world.stage, world.status["rejected"]) == ("Ramp", [])
    world.traffic[M1] = Traffic(requests=50)
    world.run(200)
    assert (world.stage, world.status["rejected"]) == ("RolledBack", [M2])


def test_zones_tell_what_waits_in_them() -> None:
    world = World()
    world.look()
    world.look()
    assert [(zone["zone"], zone["ready"], zone["pending"]) for zone in world.status["zones"]] == [
        ("a", 0, 1),
        ("b", 0, 1),
    ]
    assert "candidateCapacity" not in world.status


@pytest.mark.slow
def test_a_share_waits_for_requests_before_the_next() -> None:
    world = serving_world()
    world.change(model=model(M2))
    world.switch(everyone=True)
    world.run(600)
    assert (world.stage, world.weight) == ("Ramp", 1)
    assert "waits for 100 requests" in world.status["candidate"]["verdict"]


def test_staff_come_first_when_both_switches_are_on() -> None:
    world = serving_world()
    world.change(model=model(M2))
    world.switch(staff=True, everyone=True)
    world.run(50)
    assert (world.stage, world.weight, world.routing.staff) == ("Staff", 0, True)
    world.run(60)
    assert (world.stage, world.weight, world.routing.staff) == ("Ramp", 1, True)


@pytest.mark.slow
def test_a_share_moves_only_when_its_replicas_answer() -> None:
    world = serving_world(spec=a_spec(replicas=4))
    world.warm_s = 200  # longer than a soak
    world.change(model=model(M2))
    world.switch(everyone=True)
    world.traffic[M2] = GOOD
    for _ in range(300):
        world.run(5)
        wanted = -(-4 * world.routing.weight // 100)
        if world.routing.candidate == M2:
            assert world.ready(M2) >= wanted
        assert world.ready(world.stable or "") >= 4
    assert world.stable == M2


@pytest.mark.slow
def test_a_rollout_needs_no_more_looks_than_it_asks_for() -> None:
    world = serving_world()
    world.change(model=model(M2))
    world.switch(staff=True, everyone=True)
    world.traffic[M2] = GOOD
    world.run_lazily(700)
    assert (world.stable, world.pods(M1), world.status["retired"]) == (M2, [], [])
    assert world.run_lazily(600) == 1


@pytest.mark.slow
def test_a_soak_ends_in_time_where_the_load_is_looked_at_rarely() -> None:
    spec = a_spec(scaling={"spareSpotReplicas": 0, "intervalSeconds": 3600})
    world = serving_world(spec=spec)
    world.change(model=model(M2))
    world.switch(everyone=True)
    world.traffic[M2] = GOOD
    world.run_lazily(600)
    assert world.stable == M2


@pytest.mark.slow
def test_a_rollout_goes_on_whatever_is_killed_on_the_way() -> None:
    world = serving_world()
    world.change(model=model(M2))
    world.switch(everyone=True)
    world.traffic[M2] = GOOD
    parts = [(), ("status",), ("apply",), ("status", "apply"), ("apply", "status", "delete")]
    for turn in range(400):
        world.carry_out(world.plan(), parts[turn % len(parts)])
        world.tick(5)
    assert (world.stable, world.pods(M1)) == (M2, [])
    weights = [routing.weight for routing in world.routings if routing.candidate == M2]
    assert list(dict.fromkeys(weights)) == [0, 1, 5, 10, 25, 50, 100]


def test_a_lost_status_makes_gateways_deaf_to_nothing() -> None:
    world = serving_world()
    world.switch(everyone=True)
    before = world.routing.version
    world.status = {}
    world.run(10)
    assert (world.stable, world.ready(M1)) == (M1, 2)
    assert world.routing.version > before


class TestScaling:
    @pytest.mark.slow
    def test_by_hand_is_respected(self) -> None:
        world = serving_world()
        for replicas in (5, 1, 3):
            world.change(replicas=replicas)
            world.run(700, step=10)
            assert (world.ready(M1), world.status["readyReplicas"]) == (replicas, replicas)
        assert world.status["selector"] == "daybreak.dev/owner=completions,daybreak.dev/role=engine"

    def test_to_zero_is_said(self) -> None:
        world = serving_world()
        world.change(replicas=0)
        world.run(700, step=10)
        assert (world.pods(), world.condition("Ready")) == ([], ("False", "ScaledToZero"))
        assert (world.status["costPerHour"], world.status["zonesReady"]) == ("0.00", "0/2")

    def test_follows_the_load_without_a_number(self) -> None:
        spec = a_spec()
        del spec["replicas"]
        world = serving_world(spec=spec)
        quiet = world.ready(M1)
        world.inflight = 30
        world.run(120)
        assert world.ready(M1) > quiet

    def test_that_the_pools_cannot_hold_is_said(self) -> None:
        world = serving_world()
        world.change(replicas=50)
        world.run(60)
        assert world.condition("CapacityAvailable") == ("False", "PoolsTooSmall")
        assert world.condition("Ready") == ("True", "Serving")

    @pytest.mark.parametrize(
        ("why", "remedy"),
        [
            pytest.param("exceeded quota: gpus", "raise the quota", id="a quota"),
            pytest.param(
                'error looking up service account team/pods: serviceaccount "pods" not found',
                "create that service account",
                id="an account that is not there",
            ),
            pytest.param(
                "admission webhook denied the request", "do what it says", id="a rule of the cluster"
            ),
        ],
    )
    def test_why_pods_are_refused_is_said_with_a_remedy(self, why: str, remedy: str) -> None:
        world = World()
        world.look()
        for child in world.children.values():
            if child["kind"] == "Deployment" and "gateway" not in child["metadata"]["name"]:
                failure = {"type": "ReplicaFailure", "status": "True", "message": why}
                child["status"] = {"conditions": [failure]}
        world.look()
        assert world.condition("CapacityAvailable") == ("False", "ReplicasRefused")
        assert f"{why}; {remedy}" in world.message("CapacityAvailable")


def test_a_folder_that_moved_is_fetched_from_its_new_place() -> None:
    world = serving_world()
    world.change(model={**model(M1), "uri": "s3://elsewhere/m1"})
    plan = world.look()
    assert (world.status["stable"]["uri"], world.stage) == ("s3://elsewhere/m1", "Everyone")
    assert "s3://elsewhere/m1" in str(plan.apply)
    assert "s3://models/111" not in str(plan.apply)


def test_zones_that_are_short_are_said_with_the_time_of_the_next_try() -> None:
    world = serving_world(machines={"a": 1, "b": 1})
    world.change(replicas=3)
    world.run(260)
    assert world.condition("CapacityAvailable") == ("False", "CapacityShort")
    states = {zone["zone"]: zone["state"] for zone in world.status["zones"]}
    assert "BackingOff" in states.values()
    assert world.events.count(("Warning", "CapacityShort")) == 1
    assert world.condition("Ready") == ("True", "Serving")


def test_a_stock_out_that_is_told_is_believed_at_once() -> None:
    world = serving_world()
    first = world.plan_of(replicas=3)
    world.machines[first] = 1
    world.change(replicas=3)
    world.look()
    waiting = [pod["metadata"] for pod in world.pods() if not pod["spec"].get("nodeName")]
    world.stockouts = tuple(pod["name"] for pod in waiting)
    assert len(waiting) == 1, "the third one was asked for where there is no machine"
    world.look()
    assert waiting[0]["name"] not in {pod["metadata"]["name"] for pod in world.pods()}
    world.run(60)
    assert world.ready(M1) == 3


@pytest.mark.parametrize("calls", [0, 1, 2, 3])
def test_a_stock_out_is_remembered_by_an_operator_killed_after_any_call(calls: int) -> None:
    world = serving_world()
    short = world.plan_of(replicas=3)
    world.machines[short] = 1
    world.change(replicas=3)
    world.look()
    waiting = [pod["metadata"]["name"] for pod in world.pods() if not pod["spec"].get("nodeName")]
    world.stockouts = tuple(waiting)
    plan = world.plan()
    order = ("status", "delete", "apply") if plan.status_first else ("delete", "apply", "status")
    world.carry_out(plan, order[:calls])
    world.tick(5)
    world.look()
    (zone,) = [one for one in world.status["zones"] if one["zone"] == short]
    assert (zone["state"], zone["failures"]) == ("BackingOff", 1)
    world.run(60)
    assert world.ready(M1) == 3
    assert sum(one["desired"] for one in world.status["zones"]) == len(world.pods(M1)) == 3


def test_what_was_given_up_is_not_asked_for_again_while_it_still_answers() -> None:
    world = serving_world()
    world.change(replicas=3)
    world.run(60)
    before = dict(world.children)
    world.change(replicas=2)
    world.look()
    assert len(world.pods(M1)) == 2
    world.children = {**before, **world.children}  # the caches have the Deployment and not yet the pod's end
    world.carry_out(world.plan(), ("status",))
    assert sum(one["desired"] for one in world.status["zones"]) == 2
    assert not [one for one in world.status["zones"] if one["failures"]]


@pytest.mark.slow
def test_events_come_once_a_transition() -> None:
    world = serving_world()
    world.change(model=model(M2))
    world.switch(everyone=True)
    world.traffic[M2] = GOOD
    world.run(900)
    reasons = [reason for _, reason in world.events]
    assert reasons.count("Promoted") == 2
    assert reasons.count("Ramp") == 5
    assert reasons.count("Everyone") == 1
    assert reasons.count("Serving") == 1


def test_a_pod_on_a_node_that_goes_is_deleted_and_made_again() -> None:
    world = serving_world()
    lost = world.pods(M1)[0]["metadata"]["name"]
    world.reclaimed.add(lost)
    plan = world.look()
    assert [ref.name for ref in plan.delete] == [lost]
    assert world.status["readyReplicas"] == 1, "it counts no more, although it still answers"
    world.run(60)
    assert world.ready(M1) == 2
    assert lost not in [pod["metadata"]["name"] for pod in world.pods()]


def test_the_last_pods_answer_until_another_does_although_their_nodes_go() -> None:
    world = serving_world()
    lost = {pod["metadata"]["name"] for pod in world.pods(M1)}
    world.reclaimed |= lost
    for _ in range(3):
        plan = world.look()
        assert not plan.delete
    assert world.status["readyReplicas"] == 0
    assert len(world.pods(M1)) == len(lost) + 2, "others are asked for at once, and only once"
    world.tick(world.warm_s)
    plan = world.look()
    assert {ref.name for ref in plan.delete} == lost
    world.run(30)
    assert (world.ready(M1), len(world.pods(M1))) == (2, 2)


@pytest.mark.slow
def test_nothing_is_written_while_nothing_happens() -> None:
    world = serving_world()
    world.run(60)
    before = world.writes
    world.run(1200)
    assert world.writes == before
