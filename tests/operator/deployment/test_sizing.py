"""How many replicas a candidate gets, and which replicas stay."""

from __future__ import annotations

from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_contracts.metrics_snapshot import GatewaySnapshot, ModelCounters
from daybreak_contracts.resources.deployment import Pool
from daybreak_contracts.routing import Routing
from daybreak_operator.core.capacity.values import CapacityDecision, Held, Learned, Pending, PlacementMemory
from daybreak_operator.core.deployment.observed.fleet import fleet_of
from daybreak_operator.core.deployment.observed.spec import ModelDeploymentSpec, parse
from daybreak_operator.core.deployment.rollout.sizing import (
    Load,
    keep_what_answers,
    replicas_for,
    replicas_wanted,
    room_beside,
    with_back_off_of,
)
from daybreak_operator.core.deployment.state import CandidateModel, RolloutState, StableModel
from daybreak_operator.core.observed.parse import parse_object
from tests.operator.deployment.world import M1, M2, a_spec

A, B = ("l4", "a"), ("l4", "b")
WAITS = Pending(since=0.0)


def decision(desired: dict[tuple[str, str], int], needed: int) -> CapacityDecision:
    return CapacityDecision(desired, {}, needed, PlacementMemory(), (), 0.0, 5.0)


@pytest.mark.parametrize(
    ("desired", "needed", "held", "expected"),
    [
        pytest.param({A: 1, B: 1}, 2, [Held(*A, (1.0,)), Held(*B, (1.0,))], {A: 1, B: 1}, id="all-answer"),
        pytest.param(
            {A: 0, B: 1},
            1,
            [Held(*A, (1.0,)), Held(*B, (), (WAITS,))],
            {A: 1, B: 1},
            id="the-other-only-waits",
        ),
        pytest.param(
            {A: 0, B: 1}, 1, [Held(*A, (1.0,)), Held(*B, (1.0,))], {A: 0, B: 1}, id="the-other-answers"
        ),
        pytest.param({A: 1, B: 0}, 1, [Held(*A, (1.0, 2.0))], {A: 1, B: 0}, id="fewer-are-needed"),
        pytest.param({A: 0, B: 0}, 0, [Held(*A, (1.0,))], {A: 0, B: 0}, id="none-is-needed"),
        pytest.param(
            {A: 1, B: 2},
            3,
            [Held(*A, (1.0, 2.0)), Held(*B, (), (WAITS,))],
            {A: 2, B: 2},
            id="moving-to-another-zone",
        ),
        pytest.param(
            {A: 1}, 1, [Held("gone", "z", (1.0,))], {A: 1}, id="a-pool-that-was-removed-is-not-ours"
        ),
    ],
)
def test_what_answers_stays_until_others_do(
    desired: dict[tuple[str, str], int], needed: int, held: list[Held], expected: dict[tuple[str, str], int]
) -> None:
    assert keep_what_answers(decision(desired, needed), held) == expected


def child(kind: str, name: str, **parts: Any) -> dict[str, Any]:
    labels = {
        names.LABEL_ROLE: names.ROLE_ENGINE,
        names.LABEL_REVISION: names.short(M2),
        names.LABEL_POOL: "l4",
        names.LABEL_ZONE: "a",
    }
    return {"kind": kind, "metadata": {"name": name, "labels": labels}, **parts}


def a_load(*, asked: int = 1, ready: int = 1, inflight: int = 0, now: float = 1000.0, **rollout: Any) -> Load:
    spec = parse(a_spec(rollout={"soakSeconds": 1800, **rollout}, runtime={"maxConcurrency": 10}))
    assert isinstance(spec, ModelDeploymentSpec)
    answers = {
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:01Z"}]
    }
    pods = [child("Pod", f"pod-{number}", status=answers) for number in range(ready)]
    fleet = fleet_of(
        map(parse_object, [child("Deployment", "d", spec={"replicas": asked}), *pods]),
        reclaimed=(),
        stockouts=(),
        now=now,
    )
    models = {M2: ModelCounters(inflight=inflight)}
    return Load(spec, fleet, (GatewaySnapshot(instance="g", started=0.0, at=now, models=models),), now)


def a_state(weight: int, *, staff: bool = False, since: float = 0.0, stage: Any = "Ramp") -> RolloutState:
    candidate = CandidateModel(M2, "s3://m", "spec", stage, since, weight)
    return RolloutState(
        stable=StableModel(M1, "s3://m", 0.0),
        candidate=candidate,
        routing=Routing(version=1, salt="s", stable=M1, candidate=M2, staff=staff, weight=weight),
    )


@pytest.mark.parametrize(
    ("state", "needed", "load", "expected"),
    [
        pytest.param(a_state(0, stage="Warm"), 10, a_load(), 1, id="nobody-gets-it"),
        pytest.param(
            a_state(0, stage="Shadow"), 10, a_load(inflight=90), 1, id="mirrored-requests-are-no-load"
        ),
        pytest.param(a_state(0, stage="Warm"), 0, a_load(), 0, id="beside-a-model-that-is-scaled-to-zero"),
        pytest.param(a_state(25), 10, a_load(everyone=True), 3, id="a-quarter-of-all-rounded-up"),
        pytest.param(
            a_state(25, since=0.0),
            10,
            a_load(everyone=True, now=1300.0),
            5,
            id="the-next-share-near-the-soaks-end",
        ),
        pytest.param(a_state(25), 10, a_load(everyone=True, now=1100.0), 3, id="not-long-before"),
        pytest.param(a_state(25), 10, a_load(everyone=True, asked=7), 7, id="never-fewer-while-it-is-used"),
        pytest.param(
            a_state(25), 10, a_load(everyone=False, asked=7), 1, id="one-stays-warm-after-the-way-back"
        ),
        pytest.param(
            a_state(25), 4, a_load(everyone=True, asked=7), 4, id="never-more-than-the-whole-load-needs"
        ),
        pytest.param(
            a_state(0, staff=True, stage="Staff"),
            10,
            a_load(staff=True, inflight=20),
            4,
            id="busy-staff-count",
        ),
        pytest.param(
            a_state(0, stage="Warm"), 10, a_load(everyone=True), 1, id="one-percent-is-the-first-share"
        ),
        pytest.param(
            a_state(0, stage="Warm"),
            300,
            a_load(everyone=True),
            3,
            id="asked-for-before-the-first-share-moves",
        ),
        pytest.param(
            a_state(0, stage="Pending"), 300, a_load(everyone=True, ready=0), 1, id="one-until-it-is-warm"
        ),
        pytest.param(
            a_state(25, stage="Paused"),
            10,
            a_load(everyone=True, now=9000.0),
            3,
            id="a-held-rollout-grows-not",
        ),
    ],
)
def test_the_replicas_of_a_candidate(state: RolloutState, needed: int, load: Load, expected: int) -> None:
    assert state.candidate is not None
    assert replicas_wanted(state, state.candidate, needed, load) == expected


@pytest.mark.parametrize(
    ("weight", "needed", "expected"), [(0, 10, 1), (1, 10, 1), (50, 3, 2), (100, 7, 7), (10, 100, 10)]
)
def test_the_replicas_of_a_share(weight: int, needed: int, expected: int) -> None:
    assert replicas_for(weight, needed) == expected


def test_a_candidate_has_the_room_that_the_stable_model_leaves() -> None:
    pools = [Pool(name="l4", accelerator="x", zones=("a", "b"), min=2, max=5)]
    (room,) = room_beside(pools, {A: 2, B: 1})
    assert (room.min, room.max) == (0, 2)
    (none,) = room_beside(pools, {A: 4, B: 4})
    assert none.max == 0


def test_a_zone_without_machines_has_none_for_the_candidate_either() -> None:
    stable = PlacementMemory(offerings={A: Learned(retry_at=500, failures=2), B: Learned(retry_at=100)})
    own = PlacementMemory(offerings={B: Learned(retry_at=300, ready=1)}, needed=4)
    together = with_back_off_of(own, stable)
    assert together.offerings == {A: Learned(retry_at=500), B: Learned(retry_at=300, ready=1)}
    assert together.needed == 4


def test_a_replica_without_a_pod_waits_too_and_never_grows_old() -> None:
    (held,) = a_load(asked=3, ready=1, now=1000.0).fleet.held(M2)
    assert (len(held.ready), held.pending) == (1, (Pending(since=1000.0), Pending(since=1000.0)))
