"""What the small cloud decides, as tables, and what must hold for whatever it is asked."""

from __future__ import annotations

import collections
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import names
from tests.cluster.cloud_model import (
    Change,
    Launch,
    Machine,
    Notice,
    Offering,
    Refuse,
    Remove,
    Rules,
    capacity_at,
    cost,
    decide,
    read_trace,
)
from tests.cluster.pods import Wish, accepts, is_waiting, wish_of

RULES = Rules(boot_s=1, notice_s=30, idle_s=60)
A = Offering("a", market="Spot", price_per_hour=0.35)
B = Offering("b", market="Spot", price_per_hour=0.40)
SURE = Offering("a", market="OnDemand", price_per_hour=0.98)
BIG = Offering("c", accelerator="nvidia-h100", market="Reserved", price_per_hour=20, gpus=8)


def wish(name: str = "p", gpus: int = 1, **labels: str) -> Wish:
    """A pod that names zone, market or accelerator."""
    keys = {
        "zone": names.LABEL_NODE_ZONE,
        "market": names.LABEL_MARKET,
        "accelerator": names.LABEL_ACCELERATOR,
    }
    return Wish(name, gpus, 1.0, {keys[key]: value for key, value in labels.items()})


def machine(name: str, offering: Offering = A, **what: Any) -> Machine:
    return Machine(name, offering, **{"asked_at": 0.0, "free_gpus": 0, "free_cpus": 60.0} | what)


@pytest.mark.parametrize(
    ("wishes", "machines", "capacity", "expected"),
    [
        pytest.param([wish(zone="b")], [], {A: 1, B: 1}, [Launch(B, "p")], id="the zone that is named"),
        pytest.param([wish()], [], {A: 1, B: 1}, [Launch(A, "p")], id="the cheapest of all"),
        pytest.param([wish()], [], {A: 0, B: 1}, [Launch(B, "p")], id="the next when the cheapest has none"),
        pytest.param(
            [wish(zone="a", market="Spot")],
            [],
            {A: 0, B: 1, SURE: 1},
            [Refuse("p", "out of capacity: a nvidia-l4 Spot")],
            id="a stock-out of what is named",
        ),
        pytest.param(
            [wish(accelerator="nvidia-t4")],
            [],
            {A: 1},
            [Refuse("p", "no machine is offered that it could run on")],
            id="what nobody offers",
        ),
        pytest.param(
            [wish(gpus=2)],
            [],
            {A: 9},
            [Refuse("p", "no machine is offered that it could run on")],
            id="more cards than any machine has",
        ),
        pytest.param(
            [wish("p"), wish("q")],
            [],
            {A: 1},
            [Launch(A, "p"), Refuse("q", "out of capacity: a nvidia-l4 Spot")],
            id="one machine for two",
        ),
        pytest.param([wish(str(i), gpus=2) for i in range(4)], [], {BIG: 2}, [Launch(BIG, "0")], id="four in one"),
        pytest.param([wish()], [machine("m", free_gpus=1)], {A: 2}, [], id="one is free or on its way"),
        pytest.param(
            [wish()],
            [machine("m", free_gpus=1, notice_until=500.0)],
            {A: 2},
            [Launch(A, "p")],
            id="a machine that goes is no room",
        ),
        pytest.param(
            [], [machine("m", idle_since=40.0, free_gpus=1)], {A: 1}, [Remove("m", "Idle")], id="nobody for a minute"
        ),
        pytest.param([], [machine("m", idle_since=41.0)], {A: 1}, [], id="nobody for less"),
        pytest.param(
            [],
            [machine("old"), machine("new", asked_at=5.0)],
            {A: 1},
            [Notice("new", 130.0)],
            id="spot capacity fell",
        ),
        pytest.param([], [machine("m", SURE)], {SURE: 0}, [], id="on-demand machines stay in a stock-out"),
        pytest.param(
            [], [machine("m", notice_until=100.0)], {A: 0}, [Remove("m", "Reclaimed")], id="the notice is over"
        ),
        pytest.param([], [machine("m", notice_until=100.5)], {A: 0}, [], id="the notice is not over"),
    ],
)  # fmt: skip
def test_decisions(
    wishes: list[Wish], machines: list[Machine], capacity: dict[Offering, int], expected: list[Any]
) -> None:
    assert decide(100.0, wishes, machines, capacity, RULES) == expected


OFFERINGS = st.sampled_from([A, B, SURE, BIG])
WISHES = st.lists(
    st.builds(
        wish,
        name=st.uuids().map(str),
        gpus=st.integers(0, 8),
        zone=st.sampled_from("abc"),
    ),
    max_size=8,
)
MACHINES = st.lists(
    st.builds(
        Machine,
        name=st.uuids().map(str),
        offering=OFFERINGS,
        asked_at=st.floats(0, 100),
        free_gpus=st.integers(0, 8),
        free_cpus=st.floats(0, 64),
        idle_since=st.none() | st.floats(0, 100),
        notice_until=st.none() | st.floats(50, 150),
    ),
    max_size=8,
    unique_by=lambda item: item.name,
)
CAPACITY = st.fixed_dictionaries({item: st.integers(0, 4) for item in (A, B, SURE, BIG)})


@given(wishes=WISHES, machines=MACHINES, capacity=CAPACITY)
def test_never_more_than_there_is_and_each_is_told_once(
    wishes: list[Wish], machines: list[Machine], capacity: dict[Offering, int]
) -> None:
    actions = decide(100.0, wishes, machines, capacity, RULES)
    launched = collections.Counter(item.offering for item in actions if isinstance(item, Launch))
    gone = {item.machine for item in actions if isinstance(item, Remove)}
    for offering, number in launched.items():
        held = sum(item.offering == offering and item.name not in gone for item in machines)
        assert held + number <= capacity[offering]
    answered = [item.pod for item in actions if isinstance(item, Launch | Refuse)]
    assert len(answered) == len(set(answered))
    touched = [item.machine for item in actions if isinstance(item, Remove | Notice)]
    assert len(touched) == len(set(touched))
    spot = {item.name for item in machines if item.offering.market == "Spot"}
    assert {item.machine for item in actions if isinstance(item, Notice)} <= spot


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(0.0, 0, id="before anything was said"),
        pytest.param(10.0, 3, id="at the moment"),
        pytest.param(25.0, 0, id="in a stock-out"),
        pytest.param(99.0, 2, id="after it"),
    ],
)
def test_capacity_follows_a_trace(tmp_path: Path, now: float, expected: int) -> None:
    rows = [
        {"time": 30, "zone": "a", "market": "Spot", "capacity": 2},
        {"time": 10, "zone": "a", "market": "Spot", "capacity": 3},
        {"time": 20, "zone": "a", "market": "Spot", "capacity": 0, "accelerator": "nvidia-l4"},
        {"time": 5, "zone": "b", "market": "Spot", "capacity": 9},
        {"time": 25, "zone": "a", "market": "Spot", "capacity": 9, "accelerator": "nvidia-t4"},
    ]
    file = tmp_path / "trace.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    changes = read_trace(file)
    assert changes[0] == Change(5, "b", "Spot", 9)
    assert capacity_at(now, A, changes) == expected


def test_cost_is_price_by_hours() -> None:
    assert cost([(A, 3600.0), (SURE, 1800.0)]) == pytest.approx(0.35 + 0.49)


class TestPods:
    POD: dict[str, Any] = {  # noqa: RUF012
        "metadata": {"namespace": "n", "name": "p"},
        "spec": {
            "containers": [
                {"resources": {"limits": {names.RESOURCE_GPU: "2"}, "requests": {"cpu": "1500m"}}},
                {"resources": {"requests": {"cpu": "1"}}},
            ],
            "initContainers": [{"resources": {"requests": {"cpu": "4"}}}],
        },
    }

    def test_what_a_pod_asks_for_is_added_up(self) -> None:
        assert wish_of(self.POD) == Wish("n/p", 2, 4.0)

    @pytest.mark.parametrize(
        ("terms", "labels", "expected"),
        [
            pytest.param([], {}, True, id="nothing asked"),
            pytest.param([("In", ["a"])], {"k": "a"}, True, id="in"),
            pytest.param([("In", ["a"])], {}, False, id="in, and not there"),
            pytest.param([("NotIn", ["a"])], {"k": "a"}, False, id="not in"),
            pytest.param([("NotIn", ["a"])], {}, True, id="not in, and not there"),
            pytest.param([("Exists", [])], {"k": ""}, True, id="exists"),
            pytest.param([("DoesNotExist", [])], {"k": "a"}, False, id="does not exist"),
            pytest.param([("In", ["b"]), ("In", ["a"])], {"k": "a"}, True, id="one of two terms"),
        ],
    )
    def test_terms_of_affinity(
        self, terms: list[tuple[str, list[str]]], labels: dict[str, str], expected: bool
    ) -> None:
        expressions = tuple(
            ({"key": "k", "operator": operator, "values": values},) for operator, values in terms
        )
        assert accepts(Wish("p", terms=expressions), labels, ()) == expected

    def test_a_taint_keeps_away_who_does_not_put_up_with_it(self) -> None:
        assert not accepts(Wish("p"), {}, ["spot"])
        assert accepts(Wish("p", tolerations=({"key": "spot", "operator": "Exists"},)), {}, ["spot"])
        assert not accepts(Wish("p", tolerations=({"key": "spot", "effect": "NoExecute"},)), {}, ["spot"])

    def test_only_pods_without_a_node_wait(self) -> None:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
        waiting = {"metadata": {}, "spec": {}, "status": {"conditions": [condition]}}
        assert is_waiting(waiting)
        assert not is_waiting(waiting | {"spec": {"nodeName": "n"}})
        assert not is_waiting(waiting | {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
        assert not is_waiting(waiting | {"status": {}})
