"""The simulated cloud keeps its rules, and ours does in it what the design promises."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pytest

from daybreak_contracts.resources.deployment_status import ModelDeploymentStatus
from daybreak_operator.core.capacity.codec import capacity_of, memory_of, zones_of
from daybreak_operator.core.capacity.policies import NAMES, Daybreak, policy_named
from daybreak_operator.core.capacity.simulate import ON_DEMAND, SPOT, ReplayResult, Trace, simulate
from daybreak_operator.core.capacity.values import CapacityDecision, Held, Place
from daybreak_operator.synthetic_trace import synthetic_trace

STEP = 195


class Always:
    """Wants the same for ever, and writes down what it saw."""

    def __init__(self, desired: Mapping[Place, int]) -> None:
        self.desired = desired
        self.seen: list[list[Held]] = []

    def __call__(self, held: Sequence[Held], now: int) -> Mapping[Place, int]:
        self.seen.append(list(held))
        return self.desired


class TestCloud:
    def test_a_launch_answers_one_step_later_and_falls_with_its_zone(self) -> None:
        trace = Trace("t", STEP, {"a": [1, 1, 1, 0, 0, 1, 1]})
        policy = Always({(SPOT, "a"): 2})
        outcome = simulate(trace, policy, 2)
        up = [sum(len(one.ready) for one in held) for held in policy.seen]
        assert up == [0, 2, 2, 0, 0, 0, 2]
        # Asked at 3, 4: refused at 4, 5. At 5 there is room again, and it answers at 6.
        assert outcome == ReplayResult(3 / 7, 3 / 7, pytest.approx(5 * 0.33 / 7), 4, 8, 7)

    def test_on_demand_always_comes_up_and_costs_three_times_as_much(self) -> None:
        outcome = simulate(Trace("t", STEP, {"a": [0] * 10}), Always({(ON_DEMAND, "a"): 1}), 1)
        assert outcome == ReplayResult(0.9, 0.9, 1.0, 0, 1, 10)

    def test_counts_in_a_trace_are_room_for_so_many(self) -> None:
        policy = Always({(SPOT, "a"): 4})
        simulate(Trace("t", STEP, {"a": [3, 3, 2, 4, 4]}), policy, 4)
        assert [sum(len(one.ready) for one in held) for held in policy.seen] == [0, 3, 2, 2, 4]

    def test_a_refused_launch_is_seen_one_step_later(self) -> None:
        policy = Always({(SPOT, "a"): 1})
        simulate(Trace("t", STEP, {"a": [0, 0, 1]}), policy, 1)
        assert [[one.refused for held in step for one in held.pending] for step in policy.seen] == [
            [],
            [True],
            [True],
        ]

    @pytest.mark.parametrize("name", NAMES)
    def test_every_policy_keeps_its_need_where_there_is_no_shortage(self, name: str) -> None:
        trace = Trace("calm", STEP, {zone: [1] * 100 for zone in "abc"})
        outcome = simulate(trace, policy_named(name, trace, 4), 4)
        assert outcome.all_ready == 99 / 100
        assert outcome.failed_launches == 0
        assert outcome.cost < 0.7


class Watched(Daybreak):
    """Ours, with what it wanted at each step; its memory goes through the resource's status every time."""

    def __init__(self, trace: Trace, replicas: int) -> None:
        super().__init__(trace, replicas)
        self.wanted: list[Mapping[Place, int]] = []

    def __call__(self, held: Sequence[Held], now: int) -> Mapping[Place, int]:
        desired = super().__call__(held, now)
        self.wanted.append(desired)
        decision = CapacityDecision(desired, {}, 0, self.memory, (), 0.0, 5.0)
        status = ModelDeploymentStatus(
            zones=zones_of(decision, self.pools, held, now), capacity=capacity_of(self.memory)
        )
        self.memory = memory_of(json.loads(status.model_dump_json(by_alias=True, exclude_none=True)))
        return desired


def zones_asked(policy: Watched, step: int) -> set[str]:
    return {zone for (_, zone), number in policy.wanted[step].items() if number}


class TestOurs:
    @pytest.mark.slow
    def test_after_a_stock_out_another_zone_is_asked_within_one_step(self) -> None:
        falls = 100
        capacity = {"a": [1] * falls + [0] * 50, "b": [1] * 150, "c": [1] * 150}
        policy = Watched(Trace("stock-out", STEP, capacity), 4)
        outcome = simulate(policy_trace := Trace("stock-out", STEP, capacity), policy, 4)
        assert policy_trace.num_steps == outcome.steps
        held = sum(number for (_, zone), number in policy.wanted[falls].items() if zone != "a")
        assert held >= 4, "all that is needed is asked for elsewhere at the step that saw the loss"
        assert outcome.all_ready >= 148 / 150

    @pytest.mark.slow
    def test_total_shortage_is_bridged_on_demand_and_ends_with_spot_again(self) -> None:
        capacity = {zone: [1] * 60 + [0] * 40 + [1] * 100 for zone in "abc"}
        trace = Trace("shortage", STEP, capacity)
        policy = Watched(trace, 4)
        outcome = simulate(trace, policy, 4)
        assert outcome.all_ready >= 197 / 200, "not ready: the first step, the step of the loss"
        assert outcome.failed_launches <= 3 * 12
        assert sum(number for (pool, _), number in policy.wanted[-1].items() if pool == ON_DEMAND) == 0

    @pytest.mark.slow
    def test_a_restart_at_every_step_changes_nothing(self) -> None:
        trace = synthetic_trace(5, 200)
        assert simulate(trace, Watched(trace, 4), 4) == simulate(trace, Daybreak(trace, 4), 4)

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", [11, 12])
    def test_on_synthetic_traces_ours_is_ready_as_often_with_fewer_failures(self, seed: int) -> None:
        trace = synthetic_trace(seed, 800)
        ours, peer = (
            simulate(trace, policy_named(name, trace, 4), 4) for name in ("daybreak", "skyserve+fallback")
        )
        assert ours.all_ready >= peer.all_ready
        assert ours.failed_launches <= peer.failed_launches
        assert ours.cost < 0.9, "cheaper than on-demand all the time"


class TestSynthetic:
    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_trace(self) -> None:
        assert synthetic_trace(3, 300) == synthetic_trace(3, 300)
        assert synthetic_trace(3, 300) != synthetic_trace(4, 300)

    @pytest.mark.slow
    def test_zones_are_as_good_and_as_bad_as_in_the_public_trace(self) -> None:
        trace = synthetic_trace(1, 20_000)
        shares = [sum(series) / trace.num_steps for series in trace.capacity.values()]
        assert min(shares) < 0.4
        assert max(shares) > 0.75
        nowhere = sum(not any(step) for step in zip(*trace.capacity.values(), strict=True)) / trace.num_steps
        assert 0.0 < nowhere < 0.05
