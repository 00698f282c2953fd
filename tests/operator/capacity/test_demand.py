"""From the gateways' metrics to the number of replicas, and how slowly that goes down."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.metrics_snapshot import GatewaySnapshot, ModelCounters
from daybreak_operator.core.capacity.demand import (
    ReplicaBounds,
    arrival_rate,
    demand_of,
    dispersion,
    replicas_needed,
    settle,
    slots_needed,
)
from daybreak_operator.core.capacity.values import Demand, PlacementMemory

NOW = 1_000_000
BOUNDS = ReplicaBounds(low=0, high=20, utilization=0.65, scale_down_s=300)
EVENLY = (100.0,) * 60


def load(**changes: object) -> Demand:
    return replace(Demand(arrivals_by_second=EVENLY, service_s=0.2, age_s=1.0, slots=8), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("demand", "ready", "needed"),
    [
        pytest.param(load(), 4, 4, id="100 a second of 0.2 s: 27.4 slots are four replicas of eight"),
        pytest.param(load(arrivals_by_second=()), 4, 1, id="no load keeps the floor"),
        pytest.param(load(arrivals_by_second=(), floor=0), 4, 0, id="no load and no user needs none"),
        pytest.param(load(inflight=40.0), 4, 8, id="40 in flight at 65 % of eight slots are eight"),
        pytest.param(load(inflight=30.0, waiting=10.0), 4, 8, id="waiting counts like in flight"),
        pytest.param(load(queue_p95_s=0.05), 4, 6, id="a long queue asks for half as many again"),
        pytest.param(load(queue_p95_s=0.2), 4, 8, id="a very long queue doubles"),
        pytest.param(
            load(arrivals_by_second=(0.0,) * 50 + (100.0,) * 10), 4, 4, id="a rise is seen in ten seconds"
        ),
        pytest.param(load(service_s=None), 4, 1, id="before the first answer only what is in flight counts"),
    ],
)
def test_the_load_needs(demand: Demand, ready: int, needed: int) -> None:
    assert replicas_needed(demand, 0.65, ready) == needed


def test_square_root_staffing_has_the_worked_example() -> None:
    assert slots_needed(EVENLY, 0.2) == pytest.approx(27.38, abs=0.01)


def test_bursty_arrivals_need_more() -> None:
    bursts = (0.0,) * 45 + (400.0,) * 15
    mixed = tuple(bursts[(17 * second) % 60] for second in range(60))
    assert dispersion(mixed) == 10.0
    assert slots_needed(mixed, 0.2) > slots_needed(EVENLY, 0.2)


@given(st.lists(st.floats(0, 1e4), max_size=60))
def test_the_rate_lies_between_the_mean_and_the_highest_second(arrivals: list[float]) -> None:
    rate = arrival_rate(arrivals)
    mean = sum(arrivals) / len(arrivals) if arrivals else 0.0
    assert mean - 1e-6 <= rate <= max(arrivals, default=0.0) + 1e-6


class TestSettling:
    def test_up_is_at_once(self) -> None:
        memory = settle(load(inflight=80.0), None, BOUNDS, ready=4, memory=PlacementMemory(needed=4), now=NOW)
        assert memory == PlacementMemory(needed=16)

    def test_down_waits_and_then_goes_one_at_a_time(self) -> None:
        memory = PlacementMemory(needed=8)
        seen = []
        for now in range(NOW, NOW + 420, 5):
            memory = settle(load(), None, BOUNDS, ready=8, memory=memory, now=now)
            seen.append(memory.needed)
        assert seen[:60] == [8] * 60, "not before five minutes"
        assert sorted({number for number in seen if number}, reverse=True) == [8, 7, 6, 5, 4]
        assert seen[-1] == 4 and seen.index(6) - seen.index(7) == 6, "half a minute between two steps"

    def test_a_rise_in_between_begins_the_wait_anew(self) -> None:
        memory = settle(load(), None, BOUNDS, ready=8, memory=PlacementMemory(needed=8), now=NOW)
        memory = settle(load(inflight=40.0), None, BOUNDS, ready=8, memory=memory, now=NOW + 299)
        memory = settle(load(), None, BOUNDS, ready=8, memory=memory, now=NOW + 301)
        assert memory == PlacementMemory(needed=8, low_since=NOW + 301)

    def test_it_does_not_go_down_to_where_the_rest_would_be_nearly_full(self) -> None:
        memory = PlacementMemory(needed=8, low_since=NOW - 1000)
        busy = load(inflight=31.0)  # 31 of 0.65 x 8 x 7 = 85 %
        assert settle(busy, None, BOUNDS, ready=8, memory=memory, now=NOW).needed == 8

    @given(
        st.one_of(st.none(), st.floats(15.001, 1e6)),
        st.integers(0, 20),
        st.lists(st.integers(0, 2000), min_size=1, max_size=20),
        st.floats(0, 200),
    )
    def test_stale_metrics_never_scale_down(
        self, age: float | None, needed: int, waits: list[int], inflight: float
    ) -> None:
        memory = PlacementMemory(needed=needed, low_since=NOW - 10_000)
        now = NOW
        for wait in waits:
            now += wait
            after = settle(load(age_s=age, inflight=inflight), None, BOUNDS, ready=0, memory=memory, now=now)
            assert after.needed is not None and memory.needed is not None
            assert after.needed >= memory.needed
            memory = after

    @pytest.mark.parametrize("fixed", [0, 3, 20, 99])
    def test_a_fixed_number_is_taken_as_it_is(self, fixed: int) -> None:
        memory = settle(
            load(inflight=500.0), fixed, BOUNDS, ready=9, memory=PlacementMemory(needed=9), now=NOW
        )
        assert memory == PlacementMemory(needed=min(fixed, 20))

    def test_after_a_restart_without_metrics_what_is_ready_stays(self) -> None:
        assert settle(Demand(), None, BOUNDS, ready=6, memory=PlacementMemory(), now=NOW).needed == 6


def snapshots(name: str, at: float, arrivals: tuple[int, ...], requests: int = 10) -> GatewaySnapshot:
    model = ModelCounters(requests=100 * requests, seconds=1000.0 * requests)
    return GatewaySnapshot(
        instance=name,
        started=0.0,
        at=at,
        arrivals_by_second=arrivals,
        inflight=3,
        held=1,
        recent_requests=requests,
        recent_seconds=0.2 * requests,
        models={"m": model},
    )


class TestSumming:
    def test_gateways_are_added_up_second_by_second(self) -> None:
        readings = (snapshots("a", NOW - 2, (1, 2, 3)), snapshots("b", NOW - 7, (10, 20)))
        demand = demand_of(readings, gateways=2, slots=8, floor=1, now=NOW)
        assert demand == Demand((1.0, 12.0, 23.0), 0.2, 6.0, 2.0, 0.0, 7.0, 8, 1)

    def test_an_answer_takes_as_long_as_the_last_ones_not_as_in_the_gateways_whole_life(self) -> None:
        quick, slow = snapshots("a", NOW, (), requests=30), snapshots("b", NOW, (), requests=10)
        slow = slow.model_copy(update={"recent_seconds": 10.0})
        demand = demand_of((quick, slow), gateways=2, slots=8, floor=1, now=NOW)
        assert demand.service_s == pytest.approx((30 * 0.2 + 10 * 1.0) / 40)

    def test_a_gateway_that_does_not_answer_makes_the_metrics_stale(self) -> None:
        assert demand_of((snapshots("a", NOW, (1,)),), gateways=2, slots=8, floor=1, now=NOW).age_s is None

    def test_no_gateway_at_all_is_stale(self) -> None:
        assert demand_of((), gateways=0, slots=8, floor=1, now=NOW) == Demand(slots=8, floor=1)
