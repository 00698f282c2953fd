"""Placement and scaling as they run: the real operator on a real control plane, against a cloud with limits.

Machines are KWOK's, brought up and taken away by the small cloud; minutes of patience are seconds (`hasty.py`), what
gateways count is theirs, under a load that is made up (`gateways.py`). One cluster and one ModelDeployment for all
plays, in their order: each says by itself what it begins with.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest

from tests.cluster.reach import Reach, wait_for
from tests.operator.live.__main__ import KILLED
from tests.operator.live.notebook import Place
from tests.operator.live.scene import INTERVAL_S, SPOT_A, SPOT_B, SPOT_C, ZONES, Scene, scaling, scene

pytestmark = pytest.mark.slow

Ready = dict[Place, int]


@pytest.fixture(scope="module")
def stage(full_cluster: Reach) -> Iterator[Scene]:
    with scene(full_cluster) as made:
        made.apply(replicas=3)
        yield made


def is_on_spot(ready: Ready, least: int) -> bool:
    return sum(ready.values()) >= least and not any(pool == "od" for pool, _ in ready)


def zones_of(ready: Ready) -> set[str]:
    return {zone for _, zone in ready}


def begin(stage: Scene, replicas: int) -> None:
    """Spot everywhere, a fixed number, nothing under way."""
    stage.operator()
    stage.capacity("Spot", a=6, b=6, c=6)
    stage.apply(replicas=replicas)
    stage.wait(f"{replicas} on spot", lambda ready: is_on_spot(ready, replicas) and needed(stage) == replicas)


def needed(stage: Scene) -> int:
    """Return how many replicas the status says are needed: after a change, and after each slow step down."""
    return int(stage.status["capacity"]["needed"])


def test_from_nothing_to_the_cheapest_in_two_zones(stage: Scene) -> None:
    stage.operator()
    stage.wait("three on spot", lambda ready: is_on_spot(ready, 3))
    ready = stage.ready()
    assert len(zones_of(ready)) >= 2
    assert ready[SPOT_A] == max(ready.values())
    first = {place: stage.notebook.asked(place, 0.0) or float("inf") for place in (SPOT_A, SPOT_B, SPOT_C)}
    assert first[SPOT_A] == min(first.values())
    status = stage.status
    assert status["readyReplicas"] == sum(ready.values())
    assert status["zonesReady"] == f"{len(zones_of(ready))}/{len(ZONES)}"
    assert zones_of(ready) <= {machine.offering.zone for machine in stage.cloud.machines()}


def test_a_stock_out_leads_to_the_next_zone_within_an_interval(stage: Scene) -> None:
    begin(stage, 3)
    stage.empty_machines_gone()
    stage.capacity("Spot", a=stage.ready()[SPOT_A])
    began = time.monotonic()
    stage.apply(replicas=5)
    refused = wait_for("a stock-out", lambda: stage.notebook.told("FailedScaleUp", began))
    wait_for("the back-off", lambda: stage.zone(SPOT_A).get("state") == "BackingOff")
    # Waited for, as a back-off of a second ends and begins anew meanwhile.
    wait_for("the back-off's figure", lambda: stage.metric(SPOT_A) == 1.0)
    elsewhere = wait_for(
        "another zone",
        lambda: [at for place in (SPOT_B, SPOT_C) if (at := stage.notebook.asked(place, refused))],
    )
    assert min(elsewhere) - refused <= max(INTERVAL_S, 5)  # event to event; five seconds for a busy machine
    stage.wait("five", lambda ready: sum(ready.values()) >= 5)
    stage.capacity("Spot", a=6)
    wait_for("a way back", lambda: stage.zone(SPOT_A).get("state") == "Open")


def test_a_reclaimed_machine_is_left_at_once_and_replaced(stage: Scene) -> None:
    begin(stage, 4)
    began = time.monotonic()
    node = stage.node_in(SPOT_A)
    (pod,) = stage.pods_on(node)
    stage.cloud.reclaim(node)
    wait_for("an empty endpoint", lambda: pod not in stage.notebook.endpoints())
    assert stage.cluster.get("node", node) is not None, "long before the machine goes"
    stage.wait("its replacement", lambda ready: sum(ready.values()) >= 4)
    wait_for("the machine's end", lambda: stage.cluster.get("node", node) is None)
    stage.wait("calm", lambda ready: sum(ready.values()) >= 4)
    assert min(stage.notebook.ready_counts(began, time.monotonic())) >= 3


def test_without_any_spot_on_demand_fills_in_and_gives_way_again(stage: Scene) -> None:
    begin(stage, 3)
    began = time.monotonic()
    stage.capacity("Spot", a=0, b=0, c=0)
    stage.wait("three on demand", lambda ready: sum(n for (pool, _), n in ready.items() if pool == "od") >= 3)
    assert min(stage.notebook.endpoint_counts(began, time.monotonic())) >= 1, (
        "the last ones answer until others do"
    )
    back = time.monotonic()
    begin(stage, 3)
    assert min(stage.notebook.ready_counts(back, time.monotonic())) >= 3


def test_it_follows_the_load_up_at_once_and_down_slowly_and_never_down_blindly(stage: Scene) -> None:
    begin(stage, 2)
    wait_for("two gateways", lambda: len(stage.gateways) == 2)
    stage.apply(replicas=None)
    stage.gateways.load(14.0)  # 14 at work, 4 places in each: 5.4 replicas at 65 %
    wait_for("more replicas", lambda: needed(stage) >= 6)
    stage.wait("six", lambda ready: sum(ready.values()) >= 6)
    stage.gateways.fall_silent()
    wait_for("stale metrics", lambda: "StaleMetrics" in stage.reasons())
    stage.gateways.load(0.0)
    blind = time.monotonic()
    stage.wait_passes(8)
    assert min(stage.notebook.needs(blind), default=6) >= 6
    assert stage.asked() >= 6
    stage.gateways.fall_silent(False)
    quiet = time.monotonic()
    wait_for("fewer", lambda: stage.asked() <= 4)
    steps = stage.notebook.needs(quiet)
    assert all(before - after <= 1 for before, after in itertools.pairwise(steps)), steps


def test_it_sleeps_when_nobody_asks_and_one_request_wakes_it(stage: Scene) -> None:
    begin(stage, 1)
    wait_for("two gateways", lambda: len(stage.gateways) == 2)
    stage.gateways.load(0.0)
    began = time.monotonic()
    stage.apply(replicas=None, scaling=scaling(scaleToZeroSeconds=10))
    asleep = wait_for("sleep", lambda: stage.notebook.told("ScaledToZero", began))
    wait_for("no replica", lambda: stage.asked() == 0 and not stage.ready())
    said = {one["type"]: (one["status"], one["reason"]) for one in stage.status["conditions"]}
    assert (said["Ready"], said["Reconciling"][0]) == (("True", "Asleep"), "False")
    time.sleep(3 * INTERVAL_S)
    assert stage.asked() == 0
    asked = time.monotonic()
    stage.gateways.ask_once()
    woken = wait_for("its waking", lambda: stage.notebook.told("Woken", asked))
    assert woken - asked <= max(INTERVAL_S, 5)
    stage.wait("a replica", lambda ready: sum(ready.values()) >= 1)
    wait_for("what it took", lambda: "coldStartSeconds" in stage.status)
    assert not stage.notebook.told("ScaledToZero", asleep + 0.1), (
        "not before it has answered for as long again"
    )
    wait_for("sleep again", lambda: stage.notebook.told("ScaledToZero", woken))
    stage.apply(scaling=None)


def test_kubectl_scale_is_respected(stage: Scene) -> None:
    """The last play but for those of a fixed number: what kubectl has scaled stays so until it lets go."""
    begin(stage, 2)
    stage.cluster.kubectl("scale", "modeldeployment", "completions", "-n", stage.namespace, "--replicas=4")
    stage.wait("four", lambda ready: is_on_spot(ready, 4) and needed(stage) == 4)
    stage.cluster.kubectl("scale", "modeldeployment", "completions", "-n", stage.namespace, "--replicas=1")
    stage.wait("one, and a spare", lambda ready: 1 <= sum(ready.values()) <= 2 and needed(stage) == 1)


@pytest.fixture
def thrifty(stage: Scene) -> Iterator[None]:
    """Policies that ask for what is missing and not for insurance, so that twice can be told from careful."""
    stage.end_operator()
    stage.thrifty = True
    yield
    stage.end_operator()
    stage.thrifty = False


@pytest.mark.usefixtures("thrifty")
@pytest.mark.parametrize("writes", [1, 2])
def test_killed_in_the_middle_of_a_fallback_it_asks_for_nothing_twice(stage: Scene, writes: int) -> None:
    """The operator dies after so many of its writes that follow the stock-out; another one takes over."""
    begin(stage, 3)
    stage.empty_machines_gone()
    stage.end_operator()
    ready = stage.ready()
    stage.capacity(
        "Spot", **{zone[-1]: sum(n for (_, own), n in ready.items() if own == zone) for zone in ZONES}
    )
    began = time.monotonic()
    with stage.process(dies_after=writes) as process:
        stage.apply(replicas=5)
        assert process.wait(60) == KILLED
    stage.operator()
    stage.wait("five", lambda ready: sum(ready.values()) >= 5)
    assert any(zone["failures"] for zone in stage.status["zones"]), "what failed before the end is known"
    kept = min(3, *stage.notebook.ready_counts(began, time.monotonic()))
    assert 2 <= stage.notebook.most_asked("od", began) <= 5 - kept, stage.notebook.story(began)
