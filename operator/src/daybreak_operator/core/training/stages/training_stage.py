"""The stage train: one job per attempt, begun anew as a whole when any part of it fails.

Owns when an attempt begins, when its place is given up, and what is shown of it. ``failure`` owns how it can fail.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from daybreak_contracts import names
from daybreak_contracts.resources.run_status import MetricStatus
from daybreak_operator.core.conditions import TRAINING_HEALTHY, ConditionUpdate
from daybreak_operator.core.observed.objects import ObservedJob, held_true
from daybreak_operator.core.plan import Finding, Object, Ref
from daybreak_operator.core.pod_shape import demands
from daybreak_operator.core.rules import first_finding
from daybreak_operator.core.times import instant
from daybreak_operator.core.training import placement
from daybreak_operator.core.training.children import gang, launchers, owned
from daybreak_operator.core.training.context import RunContext, StageOutcome
from daybreak_operator.core.training.placement import PlacementTarget
from daybreak_operator.core.training.stages import (
    blockers,
    failure,
    queueing,
    restarts,
    results,
    shared_output,
)
from daybreak_operator.core.training.stages.blockers import BlockerInput
from daybreak_operator.core.training.stages.failure import TrainingAttempt
from daybreak_operator.core.training.stages.restarts import FailureVerdict
from daybreak_operator.core.training.status import decimals, step_table

STAGE = names.STAGE_TRAIN
REQUEUE_S = 15.0
"""The trainer is asked for its metrics at each pass; heartbeats and time limits need no more."""
OLD_PODS_S = 120.0
"""Pods on a node that no longer answers stay Terminating for ever: no longer than this they are waited for, and a
worker that does not end after the result is given no more either."""
ALIVE = ("Pending", "Running", "")
"""Phases of a pod that has not ended."""
CAPACITY = "CapacityAvailable"
MAX_MESSAGE = 4096


def reconcile(context: RunContext) -> StageOutcome:
    """Return what is to be done about training while it is not complete."""
    if step_table.attempt(context.steps, STAGE) == 0:
        context = replace(context, steps=step_table.renewed(context.steps, STAGE, 1, context.moment))
    number = step_table.attempt(context.steps, STAGE)
    if not step_table.has_begun(context.steps, STAGE):
        return _begin(context, number)
    report = results.report_of(context, STAGE, number)
    steps = results.taken_in(context.steps, STAGE, report, context.moment)
    if step_table.is_complete(steps, STAGE):
        return StageOutcome(steps=steps, metrics=_metrics(context, number))
    attempt = _attempt(context, number, report)
    if _waits_with_another_template(attempt):
        said = Finding("PodTemplateChanged", "podTemplate was changed before all training pods were up")
        return _fail_attempt(context, steps, attempt, FailureVerdict("RestartFree", said))
    corrected = queueing.names_another(context, (attempt.job,) if attempt.job is not None else ())
    if corrected is not None and attempt.error is None:
        return _fail_attempt(context, steps, attempt, FailureVerdict("RestartFree", corrected))
    if attempt.is_queued and attempt.error is None:
        if queueing.has_nothing_for_its_place(context, attempt.job):
            return _try_next_placement(context, steps, attempt)
        return _continue(replace(context, steps=steps), attempt)
    verdict = failure.verdict(attempt) or shared_output.both_train(context)
    if verdict is not None:
        return _fail_attempt(context, steps, attempt, verdict)
    if the_pods_are_late(attempt):
        return _try_next_placement(context, steps, attempt)
    return _continue(replace(context, steps=steps), attempt)


def _begin(context: RunContext, number: int) -> StageOutcome:
    """Begin an attempt when its time has come and nothing of an earlier one is left."""
    waiting = StageOutcome(steps=context.steps, requeue_after_s=REQUEUE_S)
    old = [job for job in context.jobs(STAGE) if job.attempt != number]
    remove = tuple(job.ref for job in old if not job.is_leaving)
    remove += launchers.of(context).outdated(context, number)
    missing = first_finding(
        BlockerInput(context.observed, launcher=context.launcher), blockers.BEFORE_A_STAGE
    )
    if missing is not None:
        return replace(waiting, stalled=missing, delete=remove)
    pause = restarts.seconds_until_due(context, STAGE)
    if pause > 0:
        said = step_table.of_stage(context.steps, STAGE)[0].message
        requeue_s = max(1.0, min(pause, REQUEUE_S)) if old else max(1.0, pause)
        finding = Finding("BackOff", said)
        return replace(waiting, waiting=finding, delete=remove, requeue_after_s=requeue_s)
    if old or _old_pods(context, number):
        finding = Finding("AttemptEnds", "an earlier attempt has not ended yet")
        return replace(waiting, waiting=finding, delete=remove)
    predecessor = _a_predecessor_ends(context)
    if predecessor is not None:
        return replace(waiting, waiting=predecessor, delete=remove)
    anothers = shared_output.its_training_is_anothers(context)
    if anothers is not None:
        return replace(waiting, waiting=anothers)
    steps = step_table.begun(context.steps, STAGE, context.moment)
    place = _place(context)
    return StageOutcome(
        steps=steps,
        apply=(*_supporting_objects(context, number), *launchers.of(context).attempt(context, number, place)),
        delete=remove,
        capacity=_unknown("PodsPending", "The training pods were requested."),
        place=place,
        requeue_after_s=REQUEUE_S,
    )


def overdue_jobs(context: RunContext) -> tuple[Ref, ...]:
    """Return jobs that still run a while after training handed its result over: they hold machines for nothing."""
    ended = instant(step_table.of_stage(context.steps, STAGE)[0].completion_time)
    if ended is None or (context.moment - ended).total_seconds() < OLD_PODS_S:
        return ()
    jobs = context.jobs(STAGE)
    return tuple(job.ref for job in jobs if not job.has_ended and not job.is_leaving)


def _old_pods(context: RunContext, number: int) -> bool:
    due = instant(step_table.of_stage(context.steps, STAGE)[0].start_time)
    if due is not None and (context.moment - due).total_seconds() >= OLD_PODS_S:
        return False
    return any(pod.attempt != number and pod.phase in ALIVE for pod in context.pods(STAGE))


def _a_predecessor_ends(context: RunContext) -> Finding | None:
    """A run of this name was deleted and its pods save still: this one's trainer would meet their mark and give up.

    Not longer than they were given to end, and a while: on a node that nobody reaches they stay for ever.
    """
    begins = instant(step_table.of_stage(context.steps, STAGE)[0].start_time) or context.moment
    for pod in context.observed.predecessors:
        due = pod.metadata.gone_by or begins
        if pod.phase in ALIVE and (context.moment - due).total_seconds() < OLD_PODS_S:
            said = f"pod {pod.name} of an earlier run of this name has not ended yet"
            return Finding("AttemptEnds", said)
    return None


def _attempt(context: RunContext, number: int, report: results.StageReport) -> TrainingAttempt:
    jobs = context.jobs(STAGE, number)
    own_pods = context.pods(STAGE, number)
    was_up = any(item.type == CAPACITY and item.status == "True" for item in context.status.conditions)
    return TrainingAttempt(context, number, jobs[-1] if jobs else None, own_pods, report, was_up)


def _fail_attempt(
    context: RunContext, steps: step_table.Steps, attempt: TrainingAttempt, verdict: FailureVerdict
) -> StageOutcome:
    """End an attempt: the whole job goes, and after a disruption the next place is tried."""
    outcome = restarts.after(context, STAGE, steps, verdict)
    job = attempt.job
    stop = (job.ref,) if job is not None and not job.is_leaving else ()
    if outcome.failed is not None:
        return outcome
    place = _place(context)
    if any(pod.is_disrupted for pod in attempt.pods):
        place = placement.place_after(context.run.spec.training.placement, place)
    capacity = _unknown("Restarting", verdict.finding.message)
    return replace(outcome, delete=stop, capacity=capacity, place=place)


def _waits_with_another_template(attempt: TrainingAttempt) -> bool:
    """The run's ``podTemplate`` was corrected while not all pods could start with the one before."""
    job = attempt.job
    if job is None or job.has_ended or job.is_leaving or attempt.was_up or _are_up(attempt):
        return False
    return attempt.error is None and owned.was_made_by_another_template(attempt.context, (job,))


def the_pods_are_late(attempt: TrainingAttempt) -> bool:
    """Not all pods were up within ``podsReadyTimeoutSeconds``; neither an image nor a policy holds them."""
    if attempt.context.status.queued_since is not None:
        return False  # it was let in just now, and its controller need not have noticed
    began = waits_since(attempt.job)
    if attempt.was_up or began is None or _are_up(attempt):
        return False
    jobs = (attempt.job,) if attempt.job is not None else ()
    observed, moment = attempt.context.observed, attempt.context.moment
    subject = BlockerInput(observed, attempt.pods, jobs, num_pods=attempt.expected, moment=moment)
    if first_finding(subject, blockers.PODS_CANNOT_START) is not None or blockers.a_policy_refuses_pods(
        subject
    ):
        return False
    limit = attempt.context.run.spec.run_policy.pods_ready_timeout_seconds
    return (attempt.context.moment - began).total_seconds() >= limit


def waits_since(job: ObservedJob | None) -> datetime | None:
    """Return since when a job's pods are wanted; None while a queue holds it back, or its controller still does."""
    if job is None or job.is_queued or held_true(job.conditions, "Suspended") is not None:
        return None
    times = [job.metadata.created]
    times += [held.changed for held in job.conditions if (held.type, held.status) == ("Suspended", "False")]
    known = [time for time in times if time is not None]
    return max(known) if known else None


def _try_next_placement(
    context: RunContext, steps: step_table.Steps, attempt: TrainingAttempt
) -> StageOutcome:
    """Give a place up that did not bring all pods up in time: a free restart in the next one."""
    wanted = context.run.spec.training.placement
    place, limit = _place(context), context.run.spec.run_policy.pods_ready_timeout_seconds
    following = placement.place_after(wanted, place)
    said = f"not all training pods were ready within {limit} s in {_words(place)}"
    if attempt.job is not None and attempt.is_queued:
        said = f"{queueing.why_held(context, attempt.job)} So for {limit} s in {_words(place)}"
    finding = Finding("NoCapacity", f"{said}; next is {_words(following)}")
    outcome = restarts.after(context, STAGE, steps, FailureVerdict("RestartFree", finding))
    jobs = [job for job in context.jobs(STAGE) if not job.is_leaving]
    return replace(
        outcome,
        delete=tuple(job.ref for job in jobs),
        capacity=ConditionUpdate(CAPACITY, "False", finding),
        place=following,
    )


def _continue(context: RunContext, attempt: TrainingAttempt) -> StageOutcome:
    """Keep what a running attempt needs as it shall be; tell how far it is."""
    apply = _supporting_objects(context, attempt.number)
    if attempt.job is None:
        apply = (*apply, *launchers.of(context).attempt(context, attempt.number, _place(context)))
    jobs = (attempt.job,) if attempt.job is not None else ()
    subject = BlockerInput(
        context.observed, attempt.pods, jobs, num_pods=attempt.expected, moment=context.moment
    )
    stalled = first_finding(subject, blockers.RUNNING)
    snapshot = context.observed.progress
    known = snapshot is not None and snapshot.attempt in (0, attempt.number) and snapshot.total_steps > 0
    return StageOutcome(
        steps=context.steps,
        apply=apply,
        stalled=stalled,
        capacity=_capacity(context, attempt),
        metrics=_metrics(context, attempt.number),
        health=_health(context, attempt.number),
        share=snapshot.step / snapshot.total_steps
        if snapshot is not None and known
        else attempt.report.share,
        activity=attempt.report.activity,
        seconds_left=snapshot.seconds_left if snapshot is not None and known else None,
        requeue_after_s=REQUEUE_S,
    )


def _are_up(attempt: TrainingAttempt) -> bool:
    up = [pod for pod in attempt.pods if pod.is_up and not pod.is_leaving]
    return len(up) >= attempt.expected


def _capacity(context: RunContext, attempt: TrainingAttempt) -> ConditionUpdate:
    if attempt.job is not None and attempt.job.is_queued:
        return _unknown("Queued", queueing.why_held(context, attempt.job))
    if attempt.was_up or _are_up(attempt):
        words = "All training pods were ready." if attempt.expected > 1 else "The training pod was ready."
        return ConditionUpdate(CAPACITY, "True", Finding("PodsReady", words))
    unscheduled = [pod.why_unscheduled for pod in attempt.pods if pod.why_unscheduled]
    if unscheduled:
        lacking = _lacking(context)
        if lacking is not None:
            return ConditionUpdate(CAPACITY, "False", Finding("NoNodeHasLabel", lacking))
        return ConditionUpdate(CAPACITY, "False", Finding("Unschedulable", unscheduled[0][:500]))
    return _unknown("PodsPending", "Not all training pods are ready yet.")


def _lacking(context: RunContext) -> str | None:
    """Return which label, demanded by the run's placement, no node has."""
    observed, wanted = context.observed, context.run.spec.training.placement
    demand = placement.demand_of(wanted, _place(context))
    why = demands.unmet(observed.settings.node_labels, demand, observed.node_kinds)
    if why is None:
        return None
    return (
        f"{why}: correct spec.training.placement in a new run, label the nodes, or name the label in the chart's "
        "nodeLabels (docs/nodes.md); an autoscaler that brings such nodes needs nothing"
    )


def _health(context: RunContext, number: int) -> ConditionUpdate | None:
    """Return what the guard of the training says; None while it says nothing."""
    snapshot = context.observed.progress
    if snapshot is None or snapshot.attempt not in (0, number) or snapshot.health is None:
        return None
    told = snapshot.health
    if told.reason:
        return ConditionUpdate(TRAINING_HEALTHY, "False", Finding(told.reason, told.message[:MAX_MESSAGE]))
    words = f"Nothing out of line since {told.message}" if told.message else "No step was out of line."
    return ConditionUpdate(TRAINING_HEALTHY, "True", Finding("NothingFound", words[:MAX_MESSAGE]))


def _metrics(context: RunContext, number: int) -> tuple[MetricStatus, ...]:
    snapshot = context.observed.progress
    if snapshot is None or snapshot.attempt not in (0, number):
        return ()
    values: dict[str, float | None] = {
        "loss": snapshot.loss,
        "tokensPerSecond": snapshot.tokens_per_second,
        "mfu": snapshot.mfu,
    }
    if snapshot.health is not None:
        found = snapshot.health
        values |= {
            "spikes": found.spikes,
            "stepsLeftOut": found.steps_left_out,
            "rewinds": found.rewinds,
        }
    texts = {name: decimals.significant(value) for name, value in values.items() if value is not None}
    return tuple(MetricStatus(name=name, value=text) for name, text in texts.items() if text is not None)


def _supporting_objects(context: RunContext, number: int) -> tuple[Object, ...]:
    results_name = names.stage_child(context.name, STAGE, number)
    role, binding = owned.access(context, [results_name], context.namespace)
    return (
        owned.results(context, STAGE, number),
        role,
        binding,
        owned.trainers_policy(context),
        gang.train_arguments(context, number),
        *launchers.of(context).standing(context),
    )


def _place(context: RunContext) -> PlacementTarget:
    return placement.place_of(context.run.spec.training.placement, context.status.zone, context.status.market)


def _words(place: PlacementTarget) -> str:
    said = [f"zone {place.zone}" if place.zone else "any zone", place.market or ""]
    return ", ".join(filter(None, said))


def _unknown(reason: str, message: str) -> ConditionUpdate:
    return ConditionUpdate(CAPACITY, "Unknown", Finding(reason, message))
