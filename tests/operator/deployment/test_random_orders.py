"""Ten thousand random orders of what can happen to a rollout, with the operator killed before its status is written.

Played on the rollout's pure core, with the gateways' own rule asked who gets which model; machines and their lack
come and go by dice here, worse than any placement would let them (`test_properties.py` plays with all parts). Held:
shares only grow or fall to nothing, nobody flips back while they grow, no public user gets a staff-only model, a
rejected digest stays without users until the spec changes, versions never fall, only what answers is routed to,
requests are mirrored in stage Shadow alone and to a model that nobody has, and a deployment that is being deleted makes
no child.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pytest

from daybreak_contracts import names
from daybreak_contracts.metrics_snapshot import LATENCY_BOUNDS_MS, GatewaySnapshot, ModelCounters
from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_contracts.routing import NUM_BUCKETS, Routing, bucket_of, choose
from daybreak_operator.core.deployment.decide import decide, verdict_of
from daybreak_operator.core.deployment.observed import spec as specs
from daybreak_operator.core.deployment.observed.fleet import FETCH, EngineFleet, EnginePod
from daybreak_operator.core.deployment.observed.observation import DeploymentObservation
from daybreak_operator.core.deployment.rollout import steps
from daybreak_operator.core.deployment.rollout.routing import SHADOW_PERCENT, route
from daybreak_operator.core.deployment.rollout.target import AwaitedModel, TargetModel
from daybreak_operator.core.deployment.state import RolloutState
from daybreak_operator.core.deployment.status import codec
from daybreak_operator.core.plan import Finding
from tests.operator.deployment.world import M1, M2, M3, START, a_spec, model, observed_pod
from tests.plugins.profiles import all_orders, share_of

pytestmark = pytest.mark.slow

MODELS = (M1, M2, M3)
RAMPS = ((10, 50, 100), (1, 100), (100,))
SOAK_S = 30
SALT = "s"
NUM_ORDERS = share_of(2000)
"""From each of five starts."""
BEGAN = START.timestamp()


def users_in(buckets: tuple[int, ...]) -> tuple[str, ...]:
    """The first user of each bucket's neighbourhood: just below and above every share that a ramp here names."""
    found: dict[int, str] = {}
    number = 0
    while len(found) < len(buckets):
        user = f"user-{number}"
        near = min(buckets, key=lambda one: abs(one - bucket_of(SALT, user)))
        if near not in found and abs(near - bucket_of(SALT, user)) <= 40:
            found[near] = user
        number += 1
    return tuple(found.values())


@cache
def users() -> tuple[str, ...]:
    return users_in((50, 150, 500, 950, 1050, 3000, 4950, 5050, 8000, NUM_BUCKETS - 50))


@dataclass(frozen=True)
class Wish:
    """What a person writes into the spec."""

    names: str = M1
    """The model, or the run that it follows."""
    staff: bool = False
    everyone: bool = False
    ramp: tuple[int, ...] = RAMPS[0]
    on_breach: str = "Rollback"
    replicas: int = 2


@cache
def spec_of(wish: Wish) -> tuple[ModelDeploymentSpec, str]:
    """The spec, and what of it decides whether a refused model is tried again."""
    named = {"trainingRunRef": {"name": "run"}} if wish.names == "run" else model(wish.names)
    parts = {
        "model": named,
        "replicas": wish.replicas,
        "experiment": {"salt": SALT},
        "rollout": {
            "staff": wish.staff,
            "everyone": wish.everyone,
            "ramp": list(wish.ramp),
            "onBreach": wish.on_breach,
            "soakSeconds": SOAK_S,
            "guardrails": {"minRequests": 50},
        },
    }
    spec = specs.parse(a_spec(**parts))
    assert not isinstance(spec, tuple), spec
    return spec, specs.rollout_digest(spec)


POD_STATES = ("none", "loads", "verified", "answers", "refuses")


@cache
def pods_of(digest: str, state: str) -> tuple[EnginePod, ...]:
    if state == "none":
        return ()
    ended = {"exitCode": 2, "message": "its digest differs"}
    container = {"name": FETCH, "state": {"terminated": ended}} if state == "refuses" else {"name": FETCH}
    return (
        EnginePod(
            name=f"pod-{digest[:3]}",
            revision=names.short(digest),
            place=("l4", "a"),
            ready_since=BEGAN if state == "answers" else None,
            waiting_since=BEGAN,
            placed=True,
            refused=False,
            leaving=False,
            verified=state in ("verified", "answers"),
            observed=observed_pod({"status": {"initContainerStatuses": [container]}}),
        ),
    )


@dataclass
class Play:
    """A rollout from event to event."""

    dice: random.Random
    wish: Wish = field(default_factory=Wish)
    published: str | None = None
    """What the run named ``run`` published."""
    at: float = BEGAN
    pods: dict[str, str] = field(default_factory=lambda: dict.fromkeys(MODELS, "answers"))
    bad: set[str] = field(default_factory=set)
    enough: bool = True
    starved: bool = False
    status: dict[str, Any] = field(default_factory=dict)
    routings: list[Routing] = field(default_factory=list)
    counters: dict[str, tuple[int, int]] = field(default_factory=dict)
    mirrored: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Requests and errors that nobody saw."""
    window: tuple[Any, tuple[GatewaySnapshot, ...]] = (None, ())

    @property
    def stage(self) -> str:
        return str((self.status.get("candidate") or {}).get("stage"))

    # What happens -------------------------------------------------------------------------------------------------
    def time_passes(self) -> None:
        seconds = self.dice.choice((1, 10, SOAK_S, SOAK_S, 90))
        self.at += seconds
        routing = self.routings[-1] if self.routings else None
        for digest in {routing.stable, routing.candidate} if routing is not None else ():
            if digest is not None:
                requests, errors = self.counters.get(digest, (0, 0))
                more = self.dice.choice((0, 5, 20)) * seconds
                failed = more // 2 if digest in self.bad else 0
                self.counters[digest] = (requests + more, errors + failed)
        if routing is not None and routing.candidate is not None and routing.shadow_percent:
            requests, errors = self.mirrored.get(routing.candidate, (0, 0))
            more = self.dice.choice((0, 2)) * seconds
            failed = more // 2 if routing.candidate in self.bad else 0
            self.mirrored[routing.candidate] = (requests + more, errors + failed)

    def switch_turns(self) -> None:
        turned = self.dice.random() < 0.7
        if self.dice.random() < 0.4:
            self.wish = replace(self.wish, staff=turned)
        else:
            self.wish = replace(self.wish, everyone=turned)

    def spec_changes(self) -> None:
        change: Any = self.dice.choice(
            (
                {"names": self.dice.choice((*MODELS, "run"))},
                {"ramp": self.dice.choice(RAMPS)},
                {"on_breach": self.dice.choice(("Rollback", "Hold"))},
                {"replicas": self.dice.randint(1, 3)},
            )
        )
        self.wish = replace(self.wish, **change)

    def run_publishes(self) -> None:
        self.published = self.dice.choice((*MODELS, None))

    def pods_change(self) -> None:
        self.pods[self.dice.choice(MODELS)] = self.dice.choice((*POD_STATES, "answers"))

    def machines_change(self) -> None:
        self.enough, self.starved = self.dice.choice(((True, False), (False, False), (False, True)))

    def model_turns(self) -> None:
        self.bad ^= {self.dice.choice(MODELS)}

    def status_is_lost(self) -> None:
        if self.dice.random() < 0.2:
            self.status = {}

    # What the operator does ---------------------------------------------------------------------------------------
    def snapshots(self) -> tuple[GatewaySnapshot, ...]:
        models = {}
        for digest in (*self.counters, *self.mirrored):
            requests, errors = self.counters.get(digest, (0, 0))
            mirrored, unseen = self.mirrored.get(digest, (0, 0))
            models[digest] = ModelCounters(
                requests=requests,
                errors=errors,
                latency_buckets=(requests, *(0,) * len(LATENCY_BOUNDS_MS)),
                shadow_requests=mirrored,
                shadow_errors=unseen,
            )
        version = self.routings[-1].version if self.routings else 0
        reading = GatewaySnapshot(
            instance="g", started=BEGAN, at=self.at, models=models, routing_version=version
        )
        return (reading,)

    def target(self) -> TargetModel | AwaitedModel:
        if self.wish.names != "run":
            return TargetModel(self.wish.names, f"s3://{self.wish.names[:3]}", "spec.model.uri")
        if self.published is None:
            return AwaitedModel(Finding("WaitingForModel", "none yet"), "TrainingRun/run")
        return TargetModel(self.published, f"s3://{self.published[:3]}", "TrainingRun/run")

    def fleet(self) -> EngineFleet:
        pods = tuple(pod for digest in MODELS for pod in pods_of(digest, self.pods[digest]))
        return EngineFleet(pods, (), self.at)

    def look(self, *, killed: bool) -> None:
        """One pass as ``decide.pursue`` makes it, from a stored status to the next; killed before it is written."""
        spec, _ = spec_of(self.wish)
        fleet, snapshots = self.fleet(), self.snapshots()
        stored = self.status.get("candidate") or {}
        window = tuple(stored.get(part) for part in ("digest", "weight", "since"))
        if self.window[0] != window:
            self.window = (window, snapshots)
        observed = DeploymentObservation(deployment={}, snapshots=snapshots, earlier=self.window[1])
        before = codec.read(self.status)
        state = steps.begin(before, spec, self.target(), self.at)
        verdict = verdict_of(observed, spec, state, self.at)
        scene = steps.RolloutContext(spec.rollout, fleet, self.at, verdict, self.enough, self.starved)
        state = steps.advance(state, scene)
        state = replace(state, routing=route(state, spec, fleet, snapshots))
        if killed:
            return
        check_step(before, state, scene)
        self.status = codec.write(state)
        assert state.routing is not None
        if not self.routings or self.routings[-1] != state.routing:
            check_routing(self, state, state.routing)
            self.routings.append(state.routing)


def check_step(before: RolloutState, after: RolloutState, scene: steps.RolloutContext) -> None:
    if after.stable != before.stable and after.stable is not None:
        same = before.stable is not None and before.stable.digest == after.stable.digest
        assert same or scene.rollout.everyone, "nobody's model changes while the switch is off"
        assert same or scene.fleet.ready(after.stable.digest), "who becomes stable answers already"
    assert before.stable is None or after.stable is not None, "a model that serves is never let go"
    if after.rollout_digest == before.rollout_digest:
        assert set(before.rejected) <= set(after.rejected), (
            "what was rejected stays so until the spec changes"
        )


def check_routing(play: Play, state: RolloutState, routing: Routing) -> None:
    """What gateways are told, asked for people by the gateways' own rule."""
    public = {user: choose(routing, user, ()) for user in users()}
    staff = {choose(routing, user, ("staff",)) for user in users()}
    reached = {*public.values(), *staff} - {routing.stable}
    stage = state.candidate.stage if state.candidate is not None else None
    assert routing.shadow_percent == (SHADOW_PERCENT if stage == "Shadow" else 0), "mirrored in Shadow alone"
    if stage == "Shadow":
        assert reached == set(), "somebody has what only mirrored requests are for"
        assert None not in (routing.stable, routing.candidate), "mirrored from nobody, or to nobody"
        assert not play.wish.staff, "a switch waited"
        assert not play.wish.everyone, "a switch waited"
        assert play.pods[routing.candidate or ""] == "answers", "mirrored to a model without replicas"
    if not play.wish.everyone:
        assert set(public.values()) == {routing.stable}, "a public user got a staff-only model"
    if not play.wish.staff and not play.wish.everyone:
        assert reached == set(), "somebody got a model that is for nobody"
    for digest in reached:
        assert digest not in state.rejected, "a rejected digest has users"
        assert digest is not None
        assert play.pods[digest] == "answers", "a model without replicas has users"
    if not play.routings:
        return
    one = play.routings[-1]
    assert routing.version > one.version, "gateways go back to no lower version"
    if routing.candidate is None or routing.candidate != one.candidate:
        return
    assert routing.weight >= one.weight or routing.weight == 0, "a share grows, or falls to nothing"
    assert routing.weight in (0, one.weight, *play.wish.ramp), "a share that nobody asked for"
    if routing.weight >= one.weight:
        back = [user for user in users() if choose(one, user, ()) == one.candidate != public[user]]
        assert back == [], "somebody flipped back while the share grew"


def check_deleted(play: Play) -> None:
    """A deployment that is being deleted asks for nothing more, whatever its rollout is at."""
    metadata = {
        "name": "completions",
        "namespace": "team",
        "uid": "u",
        "deletionTimestamp": "2026-01-01T00:00:00Z",
    }
    spec = a_spec(rollout={"everyone": play.wish.everyone})
    body = {"metadata": metadata, "spec": spec, "status": play.status}
    plan = decide(DeploymentObservation(deployment=body, snapshots=play.snapshots()), START)
    assert (plan.apply, plan.delete, plan.events, plan.status) == ((), (), (), play.status)


HAPPENINGS = (
    Play.time_passes,
    Play.time_passes,
    Play.time_passes,
    Play.switch_turns,
    Play.switch_turns,
    Play.spec_changes,
    Play.run_publishes,
    Play.pods_change,
    Play.machines_change,
    Play.model_turns,
    Play.status_is_lost,
)


def untouched(play: Play) -> None:
    """Nothing has happened yet."""


def first_serves(play: Play) -> None:
    play.wish = Wish(everyone=True)
    play.look(killed=False)
    play.look(killed=False)


def second_is_mirrored_to(play: Play) -> None:
    first_serves(play)
    play.wish = Wish(names=M2)
    play.look(killed=False)
    play.look(killed=False)


def second_is_with_staff(play: Play) -> None:
    first_serves(play)
    play.wish = Wish(names=M2, staff=True)
    play.look(killed=False)
    play.look(killed=False)


def second_is_with_some(play: Play) -> None:
    first_serves(play)
    play.wish = Wish(names="run", everyone=True)
    play.published = M2
    play.look(killed=False)
    play.look(killed=False)


STARTS = (untouched, first_serves, second_is_mirrored_to, second_is_with_staff, second_is_with_some)


@pytest.mark.parametrize("start", STARTS)
def test_in_any_order_of_events_users_are_safe(start: Any) -> None:
    seen: set[str] = set()
    for seed in range(NUM_ORDERS):
        dice = random.Random(f"{start.__name__} {seed}")
        play, told = Play(dice), []
        start(play)
        try:
            for _ in range(dice.randint(2, 12)):
                happening = dice.choice(HAPPENINGS)
                before = play.stage
                happening(play)
                told.append(happening.__name__)
                play.look(killed=dice.random() < 0.15)
                seen |= {play.stage, f"{before} then {play.stage}"}
            check_deleted(play)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {told}") from error
    if all_orders():
        were_they_fair(start, seen)


def were_they_fair(start: Any, seen: set[str]) -> None:
    """Two thousand orders come upon every stage; a tenth of them leaves out one or the other."""
    assert seen >= {"Warm", "Shadow", "Staff", "Ramp", "Everyone", "RolledBack", "Starved"}, "dice too kind"
    assert start in (untouched, first_serves) or "Paused" in seen, "dice too kind"
    ways = {f"Shadow then {other}" for other in ("Staff", "Ramp", "Paused", "RolledBack")}
    assert start is not second_is_mirrored_to or seen >= ways, "dice too kind"
