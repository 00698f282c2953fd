"""Whole rollouts, played against a small cluster."""

from __future__ import annotations

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
    def test_goes_from_warm_over_staff_and_the_ramp_to_everyone(self) -> None:
        world = serving_world()
        world.change(model=model(M2))
        world.run(60)
        assert (world.stage, world.stable) == ("Warm", M1)
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
        assert world.stage in ("Warm", "Staff", "Ramp")

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
        assert (world.stage, world.routing.weight, world.routing.staff) == ("Warm", 0, False)
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


def test_a_pod_on_a_node_that_goes_is_deleted_and_made_again() -> None:
    world = serving_world()
    lost = world.pods(M1)[0]["metadata"]["name"]
    world.reclaimed.add(lost)
    plan = world.look()
    assert [ref.name for ref in plan.delete] == [lost]
    world.run(60)
    assert world.ready(M1) == 2
    assert lost not in [pod["metadata"]["name"] for pod in world.pods()]


def test_nothing_is_written_while_nothing_happens() -> None:
    world = serving_world()
    world.run(60)
    before = world.writes
    world.run(1200)
    assert world.writes == before
