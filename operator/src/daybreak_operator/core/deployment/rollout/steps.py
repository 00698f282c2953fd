"""How a model reaches its users: verified, warm, shadow, staff, a share of users after the other, everyone.

Owns the order and the reasons to go on, to wait and to go back. Counts no replicas (``sizing``) and no requests
(``guardrails``). docs/decisions/0008-rollout.md says why it is so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from daybreak_contracts.resources.deployment import ModelDeploymentSpec, Rollout
from daybreak_contracts.resources.deployment_status import Stage
from daybreak_operator.core.capacity.values import Learned, Place, PlacementMemory
from daybreak_operator.core.deployment.observed import spec as specs
from daybreak_operator.core.deployment.observed.fleet import EngineFleet
from daybreak_operator.core.deployment.rollout.blockers import crash_of, refusal_of
from daybreak_operator.core.deployment.rollout.guardrails import Counts, GuardrailVerdict, judge_mirrored
from daybreak_operator.core.deployment.rollout.revision import is_model, revision_of
from daybreak_operator.core.deployment.rollout.target import AwaitedModel, TargetModel
from daybreak_operator.core.deployment.state import CandidateModel, RetiredModel, RolloutState, StableModel

MAX_REMEMBERED = 64
"""Rejected and retired models, as many as the status may hold."""


@dataclass(frozen=True)
class RolloutContext:
    """What a rollout's next step depends on, beside what is remembered."""

    rollout: Rollout
    fleet: EngineFleet
    at: float
    """Unix time of this pass."""
    verdict: GuardrailVerdict
    """Of the guardrails, since the same users get the candidate; in stage Shadow of mirrored requests."""
    enough: bool
    """Whether what the next share of users needs is there and warm."""
    starved: bool
    """Whether capacity for it cannot even be asked for now."""
    next_share: int | None = None
    """The next share of users in percent; None is that of the ramp."""


def begin(
    state: RolloutState, spec: ModelDeploymentSpec, target: TargetModel | AwaitedModel, now: float
) -> RolloutState:
    """Return the state with the candidate that the spec asks for now."""
    digest = specs.rollout_digest(spec)
    if digest != state.rollout_digest:
        state = replace(forgive(state, now), rollout_digest=digest)
    if isinstance(target, AwaitedModel):
        return keep_unless_renamed(state, target, now)
    if state.stable is not None and is_model(state.stable, target):
        state = replace(state, stable=replace(state.stable, uri=target.uri))  # a folder may move
    target = revision_of(state, target)
    candidate = state.candidate
    if candidate is not None and candidate.digest == target.digest:
        kept = replace(candidate, uri=target.uri, source=target.source)
        return replace(state, candidate=kept)
    state = drop(state, now)
    if state.stable is not None and state.stable.digest == target.digest:
        return replace(state, candidate=named(target, "Everyone", now, weight=100))
    if target.digest in state.rejected:
        said = "was rolled back before; it is tried again when the spec changes"
        return replace(state, candidate=named(target, "RolledBack", now, verdict=said))
    retired = tuple(one for one in state.retired if one.digest != target.digest)
    return replace(state, candidate=named(target, "Pending", now), retired=retired)


def named(
    target: TargetModel, stage: Stage, now: float, *, weight: int = 0, verdict: str = ""
) -> CandidateModel:
    """Return a candidate at the beginning of a stage."""
    return CandidateModel(
        target.digest, target.uri, target.source, stage, now, weight, verdict, target.runtime
    )


def forgive(state: RolloutState, now: float) -> RolloutState:
    """The spec changed: refused models may be tried again, and a held rollout goes on."""
    state = replace(state, rejected=())
    if state.refused:
        return replace(state, candidate=None)
    candidate = state.rolling
    if candidate is None or candidate.stage != "Paused":
        return state
    stage = stage_of(candidate.weight, staff=state.staff_served)
    return replace(state, candidate=replace(candidate, stage=stage, since=now, verdict=""))


def keep_unless_renamed(state: RolloutState, waiting: AwaitedModel, now: float) -> RolloutState:
    """No model is named now: what was named stays, unless the spec names something else (a run may be tidied away)."""
    candidate = state.candidate
    if candidate is None or state.promoted or candidate.source == waiting.source:
        return state
    return drop(state, now)


def drop(state: RolloutState, now: float) -> RolloutState:
    """Return the state without its candidate, whose pods finish what is under way."""
    if state.rolling is not None:
        state = retire(state, state.rolling.digest, now)
        if state.stable is None:
            state = replace(state, memory=empty_handed(state.memory))
    return replace(state, candidate=None, candidate_memory=PlacementMemory())


def retire(state: RolloutState, digest: str, now: float) -> RolloutState:
    """Return the state with a model among those that finish what is under way."""
    kept = [one for one in state.retired if one.digest != digest]
    return replace(state, retired=(*kept, RetiredModel(digest, now))[-MAX_REMEMBERED:])


def reject(state: RolloutState, why: str, now: float) -> RolloutState:
    """Return the state after a rollback: weight 0 at once, and not again until the spec changes."""
    candidate = state.rolling
    if candidate is None:
        return state
    dropped = drop(state, now)
    gone = replace(candidate, stage="RolledBack", weight=0, since=now, verdict=why)
    others = [one for one in state.rejected if one != candidate.digest]
    return replace(dropped, candidate=gone, rejected=(*others, candidate.digest)[-MAX_REMEMBERED:])


def promote(state: RolloutState, now: float) -> RolloutState:
    """Return the state in which the candidate is the stable model. No pod is touched: only the routing changes."""
    candidate = state.rolling
    if candidate is None:
        return state
    memory = state.memory
    if state.stable is not None:
        memory = handed_over(memory, state.candidate_memory)
        state = retire(state, state.stable.digest, now)
    return replace(
        state,
        stable=StableModel(candidate.digest, candidate.uri, now, candidate.runtime),
        candidate=replace(
            candidate, stage="Everyone", weight=100, since=now, verdict="serves everyone", in_place=False
        ),
        memory=memory,
        candidate_memory=PlacementMemory(),
    )


def empty_handed(memory: PlacementMemory) -> PlacementMemory:
    """Return what is known of zones, for a model that holds nothing in them yet."""
    return replace(memory, offerings=_holding(memory.offerings, {}))


def handed_over(memory: PlacementMemory, candidate: PlacementMemory) -> PlacementMemory:
    """Return the load as known of the old model and the holdings of the new one."""
    return replace(memory, offerings=_holding(memory.offerings, candidate.offerings))


def _holding(known: Mapping[Place, Learned], holdings: Mapping[Place, Learned]) -> dict[Place, Learned]:
    found = {}
    for place in dict.fromkeys([*known, *holdings]):
        held = holdings.get(place, Learned())
        found[place] = replace(
            known.get(place, Learned()),
            ready=held.ready,
            desired=held.desired,
            up_since=held.up_since,
            came_up=held.came_up,
        )
    return found


def advance(state: RolloutState, context: RolloutContext) -> RolloutState:
    """Return the state after at most one step of the rollout; the first rule with something to say decides."""
    candidate = state.rolling
    if candidate is None:
        return state
    for rule in (refused_by_its_pods, broke_a_guardrail, may_be_promoted):
        ruled = rule(state, candidate, context)
        if ruled is not None:
            return ruled
    return shift(state, candidate, context)


def refused_by_its_pods(
    state: RolloutState, candidate: CandidateModel, context: RolloutContext
) -> RolloutState | None:
    """Its bytes are not what was asked for, or its engine says that it must not serve, or never gets to answer."""
    pods = [pod.observed for pod in context.fleet.alive(candidate.digest)]
    why = refusal_of(pods)
    if why is None and not context.fleet.ready(candidate.digest):
        why = crash_of(pods)
    return reject(state, why, context.at) if why is not None else None


def broke_a_guardrail(
    state: RolloutState, candidate: CandidateModel, context: RolloutContext
) -> RolloutState | None:
    """Its users fare worse than those of the stable model, or would: mirrored requests fail before anybody has it.

    Mirrored requests decide only while nobody shall have it: a switch that is turned on waits for nothing.
    """
    mirrored = candidate.stage == "Shadow" and is_for_nobody(context.rollout)
    exposed = candidate.weight > 0 or state.staff_served or mirrored
    if context.verdict.state != "Broken" or not exposed or candidate.stage == "Paused":
        return None
    why = context.verdict.finding.message
    if context.rollout.on_breach == "Rollback":
        return reject(state, why, context.at)
    return shift(state, replace(candidate, stage="Paused", verdict=why), context)


def may_be_promoted(
    state: RolloutState, candidate: CandidateModel, context: RolloutContext
) -> RolloutState | None:
    """Everyone has had it for one soak time; or there is no other model, and it is warm."""
    if (
        not context.rollout.everyone
        or not context.fleet.ready(candidate.digest)
        or candidate.stage == "Paused"
    ):
        return None
    if state.stable is None:
        return promote(state, context.at)
    done = candidate.weight == 100 and soaked(candidate, context) and context.enough
    return promote(state, context.at) if done else None


def is_for_nobody(rollout: Rollout) -> bool:
    """Return whether neither switch gives the candidate to anybody."""
    return not rollout.staff and not rollout.everyone


def soaked(candidate: CandidateModel, context: RolloutContext) -> bool:
    """Return whether the same users have had it long enough."""
    return context.at - candidate.since >= context.rollout.soak_seconds


def shift(state: RolloutState, candidate: CandidateModel, context: RolloutContext) -> RolloutState:
    """Return the state with the share of users that may get it now."""
    warm = context.fleet.ready(candidate.digest) > 0
    staff = warm and context.rollout.staff
    due = warm and is_due(state, candidate, context)
    share = context.next_share or next_weight(candidate, context.rollout)
    weight = share if due and context.enough else candidate.weight
    if not warm or not context.rollout.everyone:
        weight = 0
    stage = stage_now(candidate, context, weight=weight, staff=staff, due=due)
    if stage == "Warm" and state.stable is not None and is_for_nobody(context.rollout):
        stage = "Shadow"
    moved = (staff, weight) != (state.staff_served, candidate.weight)
    hidden = not staff and weight == 0 and stage != candidate.stage
    verdict = verdict_now(candidate, context, stage=stage, exposed=staff or weight > 0, moved=moved)
    since = context.at if moved or hidden else candidate.since
    return replace(
        state, candidate=replace(candidate, stage=stage, weight=weight, since=since, verdict=verdict)
    )


def is_due(state: RolloutState, candidate: CandidateModel, context: RolloutContext) -> bool:
    """Return whether the next share of users should get it, if there is capacity for them.

    Staff first, for one soak time, where that switch is on; few people may be staff, so only a share of all users
    must have sent enough requests for a verdict.
    """
    if not context.rollout.everyone or candidate.stage == "Paused" or candidate.weight == 100:
        return False
    if candidate.weight > 0:
        return soaked(candidate, context) and context.verdict.state == "Within"
    if context.rollout.staff:
        return state.staff_served and soaked(candidate, context)
    return True


def next_weight(candidate: CandidateModel, rollout: Rollout) -> int:
    """Return the next share of users in percent."""
    return min((share for share in rollout.ramp if share > candidate.weight), default=100)


def stage_now(
    candidate: CandidateModel, context: RolloutContext, *, weight: int, staff: bool, due: bool
) -> Stage:
    """Return the name of where the rollout is."""
    if candidate.stage == "Paused":
        return "Paused"
    if not context.fleet.ready(candidate.digest):
        if context.starved:
            return "Starved"
        return "Verified" if context.fleet.verified(candidate.digest) else "Pending"
    if due and not context.enough and context.starved:
        return "Starved"
    return stage_of(weight, staff=staff)


def stage_of(weight: int, *, staff: bool) -> Stage:
    """Return the stage by who gets the candidate."""
    if weight == 100:
        return "Everyone"
    if weight > 0:
        return "Ramp"
    return "Staff" if staff else "Warm"


def verdict_now(
    candidate: CandidateModel, context: RolloutContext, *, stage: Stage, exposed: bool, moved: bool
) -> str:
    """Return what the guardrails say; nothing where nobody gets the candidate, or only since now.

    Of mirrored requests they say at once that they wait for them, so that the stage is written once.
    """
    if candidate.stage == "Paused":
        return candidate.verdict
    if stage == "Shadow":
        since_now = candidate.stage != "Shadow"
        nothing_yet = judge_mirrored(context.rollout.guardrails, Counts(), None)
        return (nothing_yet if since_now else context.verdict).finding.message
    return context.verdict.finding.message if exposed and not moved else ""
