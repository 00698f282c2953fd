"""The one entry point: from what was observed of a ModelDeployment to the plan for it.

Owns the order of things: read, name the model, fall asleep or wake, size, step the rollout, route, say. Every pass
takes at most one step of a rollout, and the same observation gives the same plan.

Without a stable model the two switches mean what they always mean: nobody gets the first model while both are off,
staff get it when ``staff`` is on, and it becomes the stable one as soon as it is warm when ``everyone`` is on; there
is nobody else's model to ramp against (docs/decisions/0008-rollout.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_contracts.resources.deployment_status import ModelDeploymentStatus
from daybreak_operator.core import status_codec
from daybreak_operator.core.capacity.placement.layout import TUNING, Tuning
from daybreak_operator.core.capacity.values import Place
from daybreak_operator.core.conditions import ConditionUpdate, find, merge
from daybreak_operator.core.deployment.children.desired import (
    DRAIN_S,
    ChildrenInput,
    children_of,
    leftovers,
    without_finished,
)
from daybreak_operator.core.deployment.observed import spec as specs
from daybreak_operator.core.deployment.observed.fleet import EngineFleet, fleet_of
from daybreak_operator.core.deployment.observed.observation import DeploymentObservation
from daybreak_operator.core.deployment.rollout import (
    guardrails,
    in_place,
    revision,
    sizing,
    sleep,
    steps,
    turns,
)
from daybreak_operator.core.deployment.rollout.routing import route
from daybreak_operator.core.deployment.rollout.target import TargetModel, target_of
from daybreak_operator.core.deployment.state import RolloutState
from daybreak_operator.core.deployment.status import codec, record
from daybreak_operator.core.deployment.status.conditions import conditions_of
from daybreak_operator.core.deployment.status.document import status_of
from daybreak_operator.core.deployment.status.events import events_of
from daybreak_operator.core.deployment.status.view import View
from daybreak_operator.core.plan import Finding, Plan, Status


def decide(observed: DeploymentObservation, now: datetime, tuning: Tuning = TUNING) -> Plan:
    """Return the desired state. ``now`` counts to the second, as times in a status do; ``tuning`` is placement's."""
    now = now.replace(microsecond=0)
    deployment = observed.deployment
    if deployment["metadata"].get("deletionTimestamp"):
        return Plan(status=deployment.get("status") or {})  # everything else is collected with its owner
    stored = status_codec.sound(ModelDeploymentStatus, deployment.get("status"))
    observed = replace(observed, deployment={**deployment, "status": stored})
    spec = specs.parse(deployment.get("spec"))
    if isinstance(spec, tuple):
        return invalid(observed, stored, spec, now)
    return reconcile(observed, spec, now, tuning)


def invalid(
    observed: DeploymentObservation, stored: Status, problems: tuple[str, ...], now: datetime
) -> Plan:
    """Return the plan for a spec that does not hold: what runs goes on, every problem is said."""
    generation = observed.deployment["metadata"].get("generation", 0)
    finding = Finding("InvalidSpec", "; ".join(problems))
    before = stored.get("conditions") or ()
    said = [
        kept_or_unknown(kind, before, finding) for kind in ("Ready", "RolloutHealthy", "CapacityAvailable")
    ]
    said.append(
        ConditionUpdate("Reconciling", "False", Finding("Stalled", "the spec must be corrected first"))
    )
    said.append(ConditionUpdate("Stalled", "True", finding))
    status = {**stored, "observedGeneration": generation, "conditions": merge(before, said, generation, now)}
    before_state = codec.read(stored)
    return Plan(status=status, events=events_of(before_state, before_state, stored, status))


def kept_or_unknown(kind: str, stored: Iterable[Status], finding: Finding) -> ConditionUpdate:
    """Return the condition as it was; nothing is known of one that was never said."""
    old = find(stored, kind)
    if old is None:
        return ConditionUpdate(kind, "Unknown", finding)
    return ConditionUpdate(kind, old["status"], Finding(old["reason"], old["message"]))


def reconcile(
    observed: DeploymentObservation, spec: ModelDeploymentSpec, now: datetime, tuning: Tuning
) -> Plan:
    """Return the plan for a spec that holds."""
    at = now.timestamp()
    stored: Status = observed.deployment.get("status") or {}
    stored_state = codec.read(stored)
    before = record.recovered(stored_state, observed.record)
    fleet = fleet_of(observed.children, reclaimed=observed.reclaimed, stockouts=observed.stockouts, now=at)
    runtime = revision.runtime_of(spec, observed.settings)
    target = target_of(spec.model, observed.followed)
    known = revision.with_runtimes(before, fleet.deployments, runtime)
    if isinstance(target, TargetModel):
        target = replace(target, runtime=runtime)
    turn = turns.waits_for_its_turn(known, spec, target, observed, at)
    if turn is not None and isinstance(target, TargetModel) and known.stable is not None:
        target = replace(target, runtime=known.stable.runtime)
    state = steps.begin(known, spec, target, at)
    state = sleep.settle(state, spec, fleet, observed)
    state = in_place.settle(state, spec, fleet)
    state, sized = sizing.size(state, sizing.Load(spec, fleet, observed.snapshots, at, tuning))
    state = steps.advance(state, rollout_context(observed, spec, state, fleet, sized))
    state = without_finished(state, observed, at)
    state = replace(state, routing=route(state, spec, fleet, observed.snapshots))
    family = ChildrenInput(observed, spec, state, fleet, sized, at)
    view = View(observed, spec, state, fleet, sized, target, turn)
    due_s = requeue_after_s(before, state, spec, sized, at)
    status = status_of(view, conditions_of(view), now)
    return Plan(
        status=status,
        apply=(*children_of(family), *record.record_of(family.owner, state)),
        delete=leftovers(family),
        events=(*record.events_of(stored_state, before), *events_of(before, state, stored, status)),
        requeue_after_s=sizing.sooner(
            sizing.sooner(due_s, sleep.requeue_after_s(state, spec, observed)),
            None if turn is None else turns.REQUEUE_S,
        ),
        status_first=state.routing != before.routing or has_learnt(before, state),
    )


def rollout_context(
    observed: DeploymentObservation,
    spec: ModelDeploymentSpec,
    state: RolloutState,
    fleet: EngineFleet,
    sized: sizing.Sizing,
) -> steps.RolloutContext:
    """Return what the rollout's next step depends on."""
    return steps.RolloutContext(
        rollout=spec.rollout,
        fleet=fleet,
        at=fleet.at,
        verdict=verdict_of(observed, spec, state, fleet.at),
        enough=sized.enough,
        starved=sized.starved,
        next_share=sized.next_share,
    )


def verdict_of(
    observed: DeploymentObservation, spec: ModelDeploymentSpec, state: RolloutState, now: float
) -> guardrails.GuardrailVerdict:
    """Return what the guardrails say since the same users get the candidate, or since it sees mirrored requests."""
    bounds = spec.rollout.guardrails
    candidate = state.rolling

    def counts(digest: str) -> guardrails.Counts:
        return guardrails.counts_of(digest, observed.snapshots, observed.earlier, bounds.max_p95_latency_ms)

    if (
        candidate is None or candidate.since == now
    ):  # the window begins with this pass: ``earlier`` is an older one's
        return guardrails.judge(bounds, guardrails.Counts(), None)
    alone = state.stable is None or candidate.weight == 100
    stable = None if alone or state.stable is None else counts(state.stable.digest)
    if candidate.stage == "Shadow":
        mirrored = guardrails.mirrored_of(candidate.digest, observed.snapshots, observed.earlier)
        return guardrails.judge_mirrored(bounds, mirrored, stable)
    return guardrails.judge(bounds, counts(candidate.digest), stable)


def requeue_after_s(
    before: RolloutState, after: RolloutState, spec: ModelDeploymentSpec, sized: sizing.Sizing, now: float
) -> float | None:
    """Return when something is due although nothing happens: load, zones, a soak, pods that may go."""
    waits = [max(one.since + DRAIN_S - now, spec.scaling.interval_seconds) for one in after.retired]
    candidate = after.rolling
    if candidate is not None:
        end = candidate.since + spec.rollout.soak_seconds
        waits += [moment - now for moment in (end - sizing.LEAD_S, end) if moment > now]
        if candidate.stage == "Starved" and not candidate.in_place:
            waits += [left for left in (candidate.since + in_place.PATIENCE_S - now,) if left > 0]
        if candidate.weight or after.staff_served or candidate.stage == "Shadow":
            waits.append(spec.scaling.interval_seconds)
    if (before.candidate, before.stable) != (after.candidate, after.stable):
        waits.append(1)
    if sized.requeue_after_s is not None:
        waits.append(sized.requeue_after_s)
    return max(1.0, float(min(waits))) if waits else None


def has_learnt(before: RolloutState, after: RolloutState) -> bool:
    """Return whether a launch failed: written down before its pod goes, which is all that tells of it."""

    def failures(state: RolloutState) -> list[tuple[Place, int | None]]:
        memories = (state.memory, state.candidate_memory)
        return [
            (place, one.failed_at) for memory in memories for place, one in sorted(memory.offerings.items())
        ]

    return failures(before) != failures(after)
