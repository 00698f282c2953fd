"""The memory goes through the resource's status and comes back the same."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.resources.deployment import Pool
from daybreak_contracts.resources.deployment_status import ModelDeploymentStatus
from daybreak_operator.core.capacity.codec import capacity_of, memory_of, zones_of
from daybreak_operator.core.capacity.values import CapacityDecision, Learned, PlacementMemory

NOW = 1_700_000_000
POOLS = (
    Pool(name="spot", accelerator="l4", zones=("a", "b"), market="Spot", price_per_hour="0.35", max=9),
    Pool(name="od", accelerator="l4", zones=("a",), market="OnDemand", price_per_hour="0.98"),
)
moments = st.one_of(st.none(), st.integers(NOW - 100_000, NOW + 100_000))
counts = st.integers(0, 100)
learnt = st.builds(
    Learned,
    ready=counts,
    desired=counts,
    up_since=moments,
    came_up=moments,
    success=st.one_of(st.none(), st.integers(0, 1000).map(lambda number: number / 1000)),
    success_at=moments,
    failures=counts,
    failed_at=moments,
    retry_at=moments,
)
memories = st.builds(
    PlacementMemory,
    offerings=st.fixed_dictionaries({(pool.name, zone): learnt for pool in POOLS for zone in pool.zones}),
    needed=st.one_of(st.none(), counts),
    low_since=moments,
    short_since=moments,
    steady_since=moments,
    surplus_since=moments,
)


@pytest.mark.slow
@given(memories)
def test_what_goes_into_the_status_comes_back_the_same(memory: PlacementMemory) -> None:
    decision = CapacityDecision({}, {}, 0, memory, (), 0.0, 5.0)
    status = ModelDeploymentStatus(zones=zones_of(decision, POOLS, (), NOW), capacity=capacity_of(memory))
    stored = json.loads(status.model_dump_json(by_alias=True, exclude_none=True))
    assert memory_of(stored) == memory


def test_a_status_of_an_older_operator_gives_an_empty_memory() -> None:
    zone = {"pool": "spot", "zone": "a", "ready": 1, "pending": 0, "state": "Open", "pricePerHour": "0.35"}
    assert memory_of({}) == PlacementMemory()
    assert memory_of({"zones": [zone]}) == PlacementMemory(offerings={("spot", "a"): Learned(ready=1)})


def test_a_zone_that_backs_off_says_so_with_the_time() -> None:
    memory = PlacementMemory(offerings={("spot", "a"): Learned(failures=1, retry_at=NOW + 60)})
    zones = zones_of(CapacityDecision({}, {}, 0, memory, (), 0.0, 5.0), POOLS, (), NOW)
    assert [(zone.pool, zone.zone, zone.state, zone.retry_at, zone.price_per_hour) for zone in zones] == [
        ("spot", "a", "BackingOff", "2023-11-14T22:14:20Z", "0.35"),
        ("spot", "b", "Open", None, "0.35"),
        ("od", "a", "Open", None, "0.98"),
    ]
