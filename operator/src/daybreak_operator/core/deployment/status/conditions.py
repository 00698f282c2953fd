"""The five conditions of a ModelDeployment, each a list of rules of which the first with something to say decides.

Ready is about the stable model whatever a rollout does. Texts change only when something happened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from daybreak_contracts import names
from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_operator.core.conditions import ConditionStatus, ConditionUpdate, find
from daybreak_operator.core.deployment.observed.fleet import EngineFleet, label
from daybreak_operator.core.deployment.observed.observation import ObservedDeployment
from daybreak_operator.core.deployment.rollout.blockers import blocked, crash_of, refusal_of
from daybreak_operator.core.deployment.rollout.sizing import Sizing
from daybreak_operator.core.deployment.rollout.target import AwaitedModel, TargetModel
from daybreak_operator.core.deployment.state import RolloutState
from daybreak_operator.core.plan import Finding, Object

Said = tuple[ConditionStatus, Finding]


@dataclass(frozen=True)
class View:
    """What conditions speak of: the state after this pass and what was seen in it."""

    observed: ObservedDeployment
    spec: ModelDeploymentSpec
    state: RolloutState
    fleet: EngineFleet
    sizing: Sizing
    target: TargetModel | AwaitedModel


def conditions_of(view: View) -> list[ConditionUpdate]:
    """Return the conditions to say, in the order of the reference."""
    stalled = first(view, STALLED, ("False", Finding("NotStalled", "no manual action required")))
    reconciling = first(view, RECONCILING, ("False", Finding("Settled", "everything is as the spec asks")))
    if stalled[0] == "True":
        reconciling = "False", Finding("Stalled", "manual action required, see Stalled")
    return [
        ConditionUpdate("Ready", *first(view, READY, ("True", serving(view)))),
        ConditionUpdate("RolloutHealthy", *first(view, ROLLOUT, ("True", rolling(view)))),
        ConditionUpdate("CapacityAvailable", *first(view, CAPACITY, ("True", ENOUGH))),
        ConditionUpdate("Reconciling", *reconciling),
        ConditionUpdate("Stalled", *stalled),
    ]


Rule = Callable[[View], Said | None]
ENOUGH = Finding("Enough", "all required replicas are ready")


def first(view: View, rules: tuple[Rule, ...], otherwise: Said) -> Said:
    """Return what the first rule says that says anything."""
    for rule in rules:
        said = rule(view)
        if said is not None:
            return said
    return otherwise


# Ready -----------------------------------------------------------------------------------------------------------
def serving(view: View) -> Finding:
    """Return that the stable model answers."""
    digest = view.state.stable.digest if view.state.stable is not None else ""
    return Finding("Serving", f"serving model {names.short(digest)}")


def no_model_serves_everyone_yet(view: View) -> Said | None:
    """Before the first model: what is waited for, or which switch is off."""
    state = view.state
    if state.stable is not None:
        return None
    candidate = state.candidate
    if candidate is None and isinstance(view.target, AwaitedModel):
        return "False", view.target.finding
    if candidate is None or candidate.stage in ("Pending", "Verified", "Starved"):
        return "False", Finding("ModelLoading", "the first model is being loaded")
    if state.refused:
        return "False", Finding("ModelRefused", candidate.verdict)
    model = names.short(candidate.digest)
    if candidate.stage == "Staff":
        text = f"only staff get model {model}; spec.rollout.everyone gives it to everyone"
        return "False", Finding("StaffOnly", text)
    text = f"model {model} is warm and nobody gets it; turn on spec.rollout.staff or spec.rollout.everyone"
    return "False", Finding("NotReleased", text)


def scaled_to_zero(view: View) -> Said | None:
    """Somebody wants no replicas."""
    if view.sizing.needed:
        return None
    return "False", Finding("ScaledToZero", "spec.replicas is 0: no replica serves")


def no_replica_answers(view: View) -> Said | None:
    """The stable model has no replica that answers."""
    stable = view.state.stable
    if stable is None or view.fleet.ready(stable.digest):
        return None
    crash = crash_of(pod.stored for pod in view.fleet.alive(stable.digest))
    why = f": {crash}" if crash is not None else ""
    return "False", Finding(
        "NoReplicaReady", f"no replica of model {names.short(stable.digest)} is ready{why}"
    )


def no_gateway_answers(view: View) -> Said | None:
    """Nothing that editors could reach."""
    if ready_gateways(view.observed.children):
        return None
    return "False", Finding("GatewayNotReady", "no gateway pod is ready")


def ready_gateways(children: tuple[Object, ...]) -> int:
    """Return how many gateway pods answer, as their Deployment says."""
    return sum(
        int((child.get("status") or {}).get("readyReplicas") or 0)
        for child in children
        if child["kind"] == "Deployment" and label(child, names.LABEL_ROLE) == names.ROLE_GATEWAY
    )


# RolloutHealthy --------------------------------------------------------------------------------------------------
def rolling(view: View) -> Finding:
    """Return how far a rollout is that goes well, or that there is none."""
    candidate = view.state.rolling
    if candidate is None:
        return Finding("NoRollout", "no model is being rolled out")
    share = f" at {candidate.weight} %" if candidate.weight else ""
    return Finding(
        "Progressing", f"model {names.short(candidate.digest)} is in stage {candidate.stage}{share}"
    )


def was_rolled_back(view: View) -> Said | None:
    """The model that the spec asks for was refused or broke a guardrail."""
    candidate = view.state.candidate
    if candidate is None or not view.state.refused:
        return None
    text = f"model {names.short(candidate.digest)}: {candidate.verdict}; change the spec to try again"
    return "False", Finding("RolledBack", text)


def is_held(view: View) -> Said | None:
    """A guardrail broke, and onBreach says to hold."""
    candidate = view.state.rolling
    if candidate is None or candidate.stage != "Paused":
        return None
    where = (
        f"at {candidate.weight} %" if candidate.weight or view.state.staff_served else "before anybody got it"
    )
    text = f"held {where}: {candidate.verdict}; change spec.rollout to go on or back"
    return "False", Finding("Paused", text)


def has_no_capacity(view: View) -> Said | None:
    """The next share of users has no machines."""
    candidate = view.state.rolling
    if candidate is None or candidate.stage != "Starved":
        return None
    why = "; ".join(finding.message for finding in view.sizing.candidate_findings)
    return "False", Finding("Starved", why or "no capacity for the candidate")


def waits_for_a_model(view: View) -> Said | None:
    """The spec follows a run that has no model, and nothing else is being rolled out."""
    if not isinstance(view.target, AwaitedModel) or view.state.rolling is not None or follows_its_run(view):
        return None
    failed = view.target.finding.reason == "RunFailed"
    return ("False" if failed else "Unknown"), view.target.finding


def follows_its_run(view: View) -> bool:
    """Return whether the model that serves came from where the spec points: that run may be gone by now."""
    candidate = view.state.candidate
    return candidate is not None and candidate.source == view.target.source


# CapacityAvailable -----------------------------------------------------------------------------------------------
def nothing_to_place(view: View) -> Said | None:
    """There is no model, so nobody asked for a machine."""
    if view.sizing.desired:
        return None
    return "Unknown", Finding("NoModel", "there is no model to serve yet")


def replicas_are_refused(view: View) -> Said | None:
    """A quota or an admission rule keeps pods from being made."""
    for child in view.fleet.deployments:
        failure = find((child.get("status") or {}).get("conditions") or (), "ReplicaFailure")
        if failure is not None and failure["status"] == "True":
            why = str(failure.get("message") or "no reason given")
            return "False", Finding("ReplicasRefused", f"pods are refused: {why}; {remedy_of(why)}")
    return None


def remedy_of(refusal: str) -> str:
    """Return what a person can do about pods that the API server does not take."""
    if "exceeded quota" in refusal:
        return "raise the quota or ask for fewer replicas"
    if "serviceaccount" in refusal and "not found" in refusal:
        return "create that service account in this namespace, or correct the chart's serviceAccount.name"
    return "allow them, or change what they ask for"


def capacity_is_short(view: View) -> Said | None:
    """Fewer answer than are needed: no zone gives any, or they were asked for and are on their way."""
    by_reason = {finding.reason: finding for finding in view.sizing.findings}
    for gravest in ("PoolsTooSmall", "CapacityShort"):
        if gravest in by_reason:
            blocked_too = gravest == "PoolsTooSmall" or "BackingOff" in by_reason
            text = "; ".join(by_reason[name].message for name in (gravest, "BackingOff") if name in by_reason)
            return ("False" if blocked_too else "Unknown"), Finding(gravest, text)
    return None


def load_is_unknown(view: View) -> Said | None:
    """Enough answer for the load that was known last."""
    stale = next((one for one in view.sizing.findings if one.reason == "StaleMetrics"), None)
    return None if stale is None else ("Unknown", stale)


# Reconciling -----------------------------------------------------------------------------------------------------
def candidate_is_on_its_way(view: View) -> Said | None:
    """A candidate loads, or goes to everyone."""
    candidate = view.state.rolling
    if candidate is None or candidate.stage == "Paused":
        return None
    if candidate.stage in ("Pending", "Verified", "Starved"):
        return "True", Finding("ModelLoading", f"model {names.short(candidate.digest)} is being loaded")
    if view.spec.rollout.everyone:
        return "True", Finding(
            "RollingOut",
            f"model {names.short(candidate.digest)} is being rolled out to everyone step by step",
        )
    return None


def waits_for_its_first_model(view: View) -> Said | None:
    """Nothing serves, and a run may still bring something."""
    if view.state.stable is None and view.state.candidate is None and isinstance(view.target, AwaitedModel):
        return "True", view.target.finding
    return None


def replicas_are_missing(view: View) -> Said | None:
    """Fewer replicas of the model that carries the load answer than are needed."""
    stable = view.state.stable
    if stable is None or view.fleet.ready(stable.digest) >= view.sizing.needed:
        return None
    return "True", Finding("Scaling", "replicas are starting")


def gateways_are_missing(view: View) -> Said | None:
    """Fewer gateways answer than the spec asks for."""
    if ready_gateways(view.observed.children) >= view.spec.gateway.replicas or view.state.stable is None:
        return None
    return "True", Finding("GatewayStarting", "gateway pods are starting")


# Stalled ---------------------------------------------------------------------------------------------------------
def names_are_taken(view: View) -> Said | None:
    """Objects of others have our children's names."""
    taken = "; ".join(view.observed.taken)
    return ("True", Finding("NameTaken", taken)) if taken else None


def something_is_missing(view: View) -> Said | None:
    """The spec or the installation names something that is not there."""
    missing = "; ".join(view.observed.missing)
    return ("True", Finding("Missing", missing)) if missing else None


def containers_cannot_start(view: View) -> Said | None:
    """An image that cannot be pulled, a container that cannot be made."""
    pods = [child for child in view.observed.children if child["kind"] == "Pod"]
    found = blocked(pod for pod in pods if not pod["metadata"].get("deletionTimestamp"))
    return ("True", found) if found is not None else None


def first_model_was_refused(view: View) -> Said | None:
    """Nothing serves, and nothing else will be tried."""
    candidate = view.state.candidate
    if view.state.stable is not None or candidate is None or not view.state.refused:
        return None
    return "True", Finding("ModelRefused", candidate.verdict)


def stable_model_is_refused(view: View) -> Said | None:
    """The stored bytes of the model that serves have changed: no further replica of it can start."""
    stable = view.state.stable
    why = refusal_of(pod.stored for pod in view.fleet.alive(stable.digest)) if stable is not None else None
    return ("True", Finding("ModelRefused", why)) if why is not None else None


def its_run_failed(view: View) -> Said | None:
    """Nothing serves, and the run that should bring the first model ended without one."""
    if (
        view.state.stable is not None
        or view.state.candidate is not None
        or not isinstance(view.target, AwaitedModel)
    ):
        return None
    failed = view.target.finding.reason == "RunFailed"
    return ("True", view.target.finding) if failed else None


READY: tuple[Rule, ...] = (
    no_model_serves_everyone_yet,
    scaled_to_zero,
    no_replica_answers,
    no_gateway_answers,
)
ROLLOUT: tuple[Rule, ...] = (was_rolled_back, is_held, has_no_capacity, waits_for_a_model)
CAPACITY: tuple[Rule, ...] = (nothing_to_place, replicas_are_refused, capacity_is_short, load_is_unknown)
RECONCILING: tuple[Rule, ...] = (
    candidate_is_on_its_way,
    waits_for_its_first_model,
    replicas_are_missing,
    gateways_are_missing,
)
STALLED: tuple[Rule, ...] = (
    names_are_taken,
    something_is_missing,
    containers_cannot_start,
    first_model_was_refused,
    stable_model_is_refused,
    its_run_failed,
)
