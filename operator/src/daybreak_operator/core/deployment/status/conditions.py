"""The five conditions of a ModelDeployment, each a list of rules of which the first with something to say decides.

Ready is about the stable model whatever a rollout does. Texts change only when something happened.
"""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_operator.core.conditions import ConditionStatus, ConditionUpdate
from daybreak_operator.core.deployment.rollout import blockers
from daybreak_operator.core.deployment.rollout.target import NO_MODEL_EVER, AwaitedModel
from daybreak_operator.core.deployment.status.pods_wait import (
    a_queue_holds_replicas,
    containers_cannot_start,
    gateways_end,
    no_node_has_the_label,
    nodes_do_not_come,
)
from daybreak_operator.core.deployment.status.refusals import refusal_of_pods, replacement_is_stuck
from daybreak_operator.core.deployment.status.sleeping import candidate_waits, is_asleep, is_waking
from daybreak_operator.core.deployment.status.view import View
from daybreak_operator.core.observed.objects import ObservedDeployment, ObservedObject
from daybreak_operator.core.plan import Finding
from daybreak_operator.core.rules import Rule

Said = tuple[ConditionStatus, Finding]


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


StatusRules = tuple[tuple[ConditionStatus, Rule[View]], ...]
"""Rules of one condition in their order, each with the status that it stands for."""
ENOUGH = Finding("Enough", "all required replicas are ready")


def first(view: View, rules: StatusRules, otherwise: Said) -> Said:
    """Return what the first rule finds that finds anything, with its status."""
    for status, rule in rules:
        finding = rule(view)
        if finding is not None:
            return status, finding
    return otherwise


# Ready -----------------------------------------------------------------------------------------------------------
def serving(view: View) -> Finding:
    """Return that the stable model answers."""
    words = view.state.stable.words if view.state.stable is not None else ""
    return Finding("Serving", f"serving model {words}")


def no_model_serves_everyone_yet(view: View) -> Finding | None:
    """Before the first model: what is waited for, or which switch is off."""
    state = view.state
    if state.stable is not None:
        return None
    candidate = state.candidate
    if candidate is None and isinstance(view.target, AwaitedModel):
        return view.target.finding
    if candidate is None or candidate.stage in ("Pending", "Verified", "Starved"):
        return Finding("ModelLoading", "the first model is being loaded")
    if state.refused:
        return Finding("ModelRefused", candidate.verdict)
    model = candidate.words
    if candidate.stage == "Staff":
        text = f"only staff get model {model}; spec.rollout.everyone gives it to everyone"
        return Finding("StaffOnly", text)
    text = f"model {model} is warm and nobody gets it; turn on spec.rollout.staff or spec.rollout.everyone"
    return Finding("NotReleased", text)


def scaled_to_zero(view: View) -> Finding | None:
    """Somebody wants no replicas."""
    if view.sizing.needed or view.state.asleep_since is not None:
        return None
    return Finding("ScaledToZero", "spec.replicas is 0: no replica serves")


def no_replica_answers(view: View) -> Finding | None:
    """The stable model has no replica that answers."""
    stable = view.state.stable
    if stable is None or view.fleet.ready(stable.digest):
        return None
    crash = blockers.crash_of(pod.observed for pod in view.fleet.alive(stable.digest))
    why = f": {crash}" if crash is not None else ""
    return Finding("NoReplicaReady", f"no replica of model {stable.words} is ready{why}")


def no_gateway_answers(view: View) -> Finding | None:
    """Nothing that editors could reach."""
    if ready_gateways(view.observed.children):
        return None
    ends = gateways_end(view)
    return Finding("GatewayNotReady", f"no gateway pod is ready{f': {ends.message}' if ends else ''}")


def nobody_holds_requests(view: View) -> Finding | None:
    """It sleeps or wakes, and no gateway is there that would hold a request."""
    sleeps = is_asleep(view) or is_waking(view)
    return no_gateway_answers(view) if sleeps is not None else None


def ready_gateways(children: tuple[ObservedObject, ...]) -> int:
    """Return how many gateway pods answer, as their Deployment says."""
    return sum(
        child.ready_replicas
        for child in children
        if isinstance(child, ObservedDeployment) and child.label(names.LABEL_ROLE) == names.ROLE_GATEWAY
    )


# RolloutHealthy --------------------------------------------------------------------------------------------------
def rolling(view: View) -> Finding:
    """Return how far a rollout is that goes well, or that there is none."""
    candidate = view.state.rolling
    if candidate is None:
        return Finding("NoRollout", "no model is being rolled out")
    share = f" at {candidate.weight} %" if candidate.weight else ""
    where = ", on machines that the stable model gives up one by one" if candidate.in_place else ""
    said = f": {candidate.verdict}" if candidate.verdict else ""
    return Finding(
        "Progressing", f"model {candidate.words} is in stage {candidate.stage}{share}{where}{said}"
    )


def was_rolled_back(view: View) -> Finding | None:
    """The model that the spec asks for was refused or broke a guardrail."""
    candidate = view.state.candidate
    if candidate is None or not view.state.refused:
        return None
    text = f"model {candidate.words}: {candidate.verdict}; change the spec to try again"
    return Finding("RolledBack", text)


def is_held(view: View) -> Finding | None:
    """A guardrail broke, and onBreach says to hold."""
    candidate = view.state.rolling
    if candidate is None or candidate.stage != "Paused":
        return None
    where = (
        f"at {candidate.weight} %" if candidate.weight or view.state.staff_served else "before anybody got it"
    )
    text = f"held {where}: {candidate.verdict}; change spec.rollout to go on or back"
    return Finding("Paused", text)


def has_no_capacity(view: View) -> Finding | None:
    """The next share of users has no machines."""
    candidate = view.state.rolling
    if candidate is None or candidate.stage != "Starved":
        return None
    why = "; ".join(finding.message for finding in view.sizing.candidate_findings)
    return Finding("Starved", why or "no capacity for the candidate")


UNREAD_S = 900
"""How long a rollout may go without a reading of any gateway before a person is to look."""


def gateways_cannot_be_read(view: View) -> Finding | None:
    """Requests meet the candidate, and no gateway tells of them: there is nothing to judge by."""
    candidate = view.state.rolling
    meets = candidate is not None and (
        candidate.weight > 0 or candidate.stage == "Shadow" or view.state.staff_served
    )
    if not meets or view.observed.snapshots or not ready_gateways(view.observed.children):
        return None
    text = (
        f"no gateway can be read, so the candidate is not judged; allow the operator to reach port "
        f"{names.PORT_GATEWAY_METRICS} of the pods with {names.LABEL_ROLE}={names.ROLE_GATEWAY} (docs/network.md)"
    )
    return Finding("GatewaysUnread", text)


def gateways_stay_unread(view: View) -> Finding | None:
    """The same, for long."""
    candidate = view.state.rolling
    if candidate is None or view.fleet.at - candidate.since < UNREAD_S:
        return None
    return gateways_cannot_be_read(view)


def followed_run_failed(view: View) -> Finding | None:
    """The spec follows a run that ended without a model, and nothing else is being rolled out."""
    finding = waits_for_a_model(view)
    return finding if finding is not None and finding.reason in NO_MODEL_EVER else None


def waits_for_a_model(view: View) -> Finding | None:
    """The spec follows a run that has no model, and nothing else is being rolled out."""
    if not isinstance(view.target, AwaitedModel) or view.state.rolling is not None or follows_its_run(view):
        return None
    return view.target.finding


def waits_for_its_turn(view: View) -> Finding | None:
    """The installation has another image, and other deployments take it up first."""
    return view.turn


def follows_its_run(view: View) -> bool:
    """Return whether the model that serves came from where the spec points: that run may be gone by now."""
    candidate = view.state.candidate
    return candidate is not None and candidate.source == view.target.source


# CapacityAvailable -----------------------------------------------------------------------------------------------
def nothing_to_place(view: View) -> Finding | None:
    """There is no model, so nobody asked for a machine."""
    if view.sizing.desired:
        return None
    return Finding("NoModel", "there is no model to serve yet")


def replicas_are_refused(view: View) -> Finding | None:
    """A quota or an admission rule keeps pods from being made."""
    return refusal_of_pods(view.fleet.deployments, "pods")


def gateways_are_refused(view: View) -> Finding | None:
    """The same of the gateway's pods, which no capacity helps."""
    gateways = [
        child
        for child in view.observed.children
        if isinstance(child, ObservedDeployment) and child.label(names.LABEL_ROLE) == names.ROLE_GATEWAY
    ]
    return refusal_of_pods(gateways, "gateway pods")


def no_zone_has_capacity(view: View) -> Finding | None:
    """Fewer answer than are needed, and no zone gives any: pools are too small, or every zone backs off."""
    short = capacity_is_short(view)
    backs_off = any(finding.reason == "BackingOff" for finding in view.sizing.findings)
    return short if short is not None and (short.reason == "PoolsTooSmall" or backs_off) else None


def capacity_is_short(view: View) -> Finding | None:
    """Fewer answer than are needed: no zone gives any, or they were asked for and are on their way."""
    by_reason = {finding.reason: finding for finding in view.sizing.findings}
    for gravest in ("PoolsTooSmall", "CapacityShort"):
        if gravest in by_reason:
            text = "; ".join(by_reason[name].message for name in (gravest, "BackingOff") if name in by_reason)
            return Finding(gravest, text)
    return None


def load_is_unknown(view: View) -> Finding | None:
    """Enough answer for the load that was known last."""
    return next((one for one in view.sizing.findings if one.reason == "StaleMetrics"), None)


def pods_are_not_replaced(view: View) -> Finding | None:
    """A change of the pods' shape, of engines or gateways, makes no progress."""
    return replacement_is_stuck(
        child for child in view.observed.children if isinstance(child, ObservedDeployment)
    )


# Reconciling -----------------------------------------------------------------------------------------------------
def candidate_is_on_its_way(view: View) -> Finding | None:
    """A candidate loads, or goes to everyone."""
    candidate = view.state.rolling
    if candidate is None or candidate.stage == "Paused" or view.state.asleep_since is not None:
        return None
    if candidate.stage in ("Pending", "Verified", "Starved"):
        return Finding("ModelLoading", f"model {candidate.words} is being loaded")
    if view.spec.rollout.everyone:
        return Finding(
            "RollingOut",
            f"model {candidate.words} is being rolled out to everyone step by step",
        )
    return None


def waits_for_its_first_model(view: View) -> Finding | None:
    """Nothing serves, and a run may still bring something."""
    if view.state.stable is None and view.state.candidate is None and isinstance(view.target, AwaitedModel):
        return view.target.finding
    return None


def replicas_are_missing(view: View) -> Finding | None:
    """Fewer replicas of the model that carries the load answer than are needed."""
    stable = view.state.stable
    if stable is None or view.fleet.ready(stable.digest) >= view.sizing.needed:
        return None
    return Finding("Scaling", "replicas are starting")


def gateways_are_missing(view: View) -> Finding | None:
    """Fewer gateways answer than the spec asks for."""
    if ready_gateways(view.observed.children) >= view.spec.gateway.replicas or view.state.stable is None:
        return None
    return Finding("GatewayStarting", "gateway pods are starting")


# Stalled ---------------------------------------------------------------------------------------------------------
def names_are_taken(view: View) -> Finding | None:
    """Objects of others have our children's names."""
    taken = "; ".join(view.observed.taken)
    return Finding("NameTaken", taken) if taken else None


def something_is_missing(view: View) -> Finding | None:
    """The spec or the installation names something that is not there."""
    missing = "; ".join(view.observed.missing)
    return Finding("Missing", missing) if missing else None


def first_model_was_refused(view: View) -> Finding | None:
    """Nothing serves, and nothing else will be tried."""
    candidate = view.state.candidate
    if view.state.stable is not None or candidate is None or not view.state.refused:
        return None
    return Finding("ModelRefused", candidate.verdict)


def stable_model_is_refused(view: View) -> Finding | None:
    """The stored bytes of the model that serves have changed: no further replica of it can start."""
    stable = view.state.stable
    why = (
        blockers.refusal_of(pod.observed for pod in view.fleet.alive(stable.digest))
        if stable is not None
        else None
    )
    return Finding("ModelRefused", why) if why is not None else None


def its_run_failed(view: View) -> Finding | None:
    """Nothing serves, and the run that should bring the first model ended without one."""
    if (
        view.state.stable is not None
        or view.state.candidate is not None
        or not isinstance(view.target, AwaitedModel)
    ):
        return None
    return view.target.finding if view.target.finding.reason in NO_MODEL_EVER else None


READY: StatusRules = (
    ("False", no_model_serves_everyone_yet),
    ("False", scaled_to_zero),
    ("False", nobody_holds_requests),
    ("True", is_asleep),
    ("True", is_waking),
    ("False", no_replica_answers),
    ("False", no_gateway_answers),
)
ROLLOUT: StatusRules = (
    ("False", was_rolled_back),
    ("False", is_held),
    ("False", has_no_capacity),
    ("False", followed_run_failed),
    ("False", gateways_stay_unread),
    ("Unknown", gateways_cannot_be_read),
    ("Unknown", waits_for_a_model),
    ("Unknown", waits_for_its_turn),
    ("True", candidate_waits),
)
CAPACITY: StatusRules = (
    ("Unknown", nothing_to_place),
    ("False", replicas_are_refused),
    ("False", a_queue_holds_replicas),
    ("False", no_node_has_the_label),
    ("False", no_zone_has_capacity),
    ("Unknown", capacity_is_short),
    ("Unknown", load_is_unknown),
)
RECONCILING: StatusRules = (
    ("True", candidate_is_on_its_way),
    ("True", waits_for_its_first_model),
    ("True", replicas_are_missing),
    ("True", gateways_are_missing),
)
STALLED: StatusRules = (
    ("True", names_are_taken),
    ("True", something_is_missing),
    ("True", containers_cannot_start),
    ("True", replicas_are_refused),
    ("True", gateways_are_refused),
    ("True", gateways_end),
    ("True", pods_are_not_replaced),
    ("True", nodes_do_not_come),
    ("True", first_model_was_refused),
    ("True", stable_model_is_refused),
    ("True", its_run_failed),
)
