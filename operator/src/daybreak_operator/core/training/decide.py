"""Decides about a TrainingRun: from all that is known of it to all that shall be, in one pure step.

Owns the order: deleted, over, wrong, out of time, held, and else the first stage that is not complete. The stages' own
rules stand in their modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from daybreak_contracts import names
from daybreak_contracts.resources.run_status import TrainingRunStatus
from daybreak_operator.core import conditions
from daybreak_operator.core.conditions import ConditionUpdate
from daybreak_operator.core.plan import Finding, Json, Object, Plan, Status
from daybreak_operator.core.times import timestamp
from daybreak_operator.core.training.children import owned
from daybreak_operator.core.training.context import RunContext, StageOutcome
from daybreak_operator.core.training.observed import objects, snapshot
from daybreak_operator.core.training.observed.observation import RunObservation
from daybreak_operator.core.training.observed.snapshot import Basis
from daybreak_operator.core.training.stages import (
    blockers,
    pipeline_runs,
    pipeline_stage,
    queueing,
    restarts,
    shared_output,
    teardown,
    training_stage,
)
from daybreak_operator.core.training.stages import outcome as run_outcome
from daybreak_operator.core.training.stages.blockers import BlockerInput
from daybreak_operator.core.training.status import (
    codec,
    events,
    progress,
    record,
    step_table,
)
from daybreak_operator.core.training.status import (
    conditions as run_conditions,
)

STALLED_REQUEUE_S = 60.0


def decide(observed: RunObservation, now: datetime) -> Plan:
    """Return the desired state; the same observation at the same time gives the same plan."""
    if objects.is_leaving(observed.run):
        return teardown.deleted(observed, now)
    if teardown.is_over(observed.run):
        return teardown.finished(observed, now)
    ended = record.recovered(observed)
    if ended is not None:
        return Plan(status=ended, events=record.events_of(observed), status_first=True)
    plan = _decide_active(observed, now)
    return replace(plan, events=(*record.events_of(observed), *plan.events))


def _decide_active(observed: RunObservation, now: datetime) -> Plan:
    """Decide about a run that is neither over nor going."""
    status = codec.read(observed.run.get("status"))
    basis = snapshot.basis(observed, status)
    if isinstance(basis, Finding):
        return _cannot_be_read(observed, status, basis, now)
    stored = step_table.completed(status.steps, makes_model=basis.run.spec.model is not None)
    steps = _recovered(observed, stored, now)
    context = RunContext(observed, basis.run, status, steps, now, basis.images, basis.backend, basis.launcher)
    late = run_outcome.its_time_is_over(context)
    if late is not None:
        return _ended(context, basis, restarts.after(context, _stage(steps), steps, restarts.fails(late)))
    if basis.run.spec.suspend:
        return _suspended(context)
    outcome = _reconcile_stages(context)
    if outcome.failed is not None:
        return _ended(context, basis, outcome)
    if step_table.current_stage(outcome.steps) is None:
        return _judge_gates(context, basis, outcome)
    return _active(context, basis, outcome)


def _reconcile_stages(context: RunContext) -> StageOutcome:
    """Reconcile each stage in turn, until one is not complete."""
    outcome = StageOutcome(steps=context.steps)
    for stage in step_table.stages(context.steps):
        if step_table.is_complete(context.steps, stage):
            over = (
                training_stage.overdue_jobs(context)
                if stage == names.STAGE_TRAIN
                else pipeline_stage.jobs_kept_alive(context, stage)
            )
            outcome = replace(outcome, delete=(*outcome.delete, *over))
            continue
        found = (
            training_stage.reconcile(context)
            if stage == names.STAGE_TRAIN
            else pipeline_stage.reconcile(context, stage)
        )
        outcome = replace(
            found,
            metrics=progress.joined(outcome.metrics, found.metrics),
            delete=(*outcome.delete, *found.delete),
        )
        if not step_table.is_complete(found.steps, stage):
            return outcome
        context = replace(context, steps=found.steps)
    return outcome


def _active(context: RunContext, basis: Basis, outcome: StageOutcome) -> Plan:
    """Go on: unless something is in the way, have what the pass wants."""
    wanted = outcome.apply
    starts = context.status.start_time is not None or bool(wanted or outcome.submit)
    if starts and wanted:
        wanted = (_snapshot(context, basis), *wanted)
    subject = BlockerInput(context.observed, wanted=wanted)
    taken = blockers.a_name_belongs_to_another(subject)
    refused = blockers.a_child_was_refused(subject)
    if taken is not None:
        outcome = replace(outcome, submit=(), stalled=taken, steps=context.steps, place=None)
        wanted, starts = (), context.status.start_time is not None
    elif refused is not None:
        outcome = replace(outcome, stalled=outcome.stalled or refused)
    outcome = replace(
        outcome,
        queue=queueing.heeded(context),
        shared=shared_output.told(context, outcome.waiting),
        outdated=basis.outdated,
    )
    measured = progress.measure(context, outcome)
    steps = _with_activity(outcome) if measured.is_new else outcome.steps
    status = _status(
        context, replace(outcome, steps=steps), run_conditions.active(context, outcome), measured
    )
    if starts:
        status |= {
            "startTime": context.status.start_time or timestamp(context.moment),
            "snapshot": context.status.snapshot or basis.digest,
            "backend": basis.backend,
        }
        if basis.run.spec.model is not None:
            status["launcher"] = basis.launcher
    waits = [outcome.requeue_after_s, run_outcome.seconds_to_deadline(context)]
    waits += [STALLED_REQUEUE_S] if outcome.stalled is not None else []
    return _plan(context, replace(outcome, apply=wanted), status, waits)


def _suspended(context: RunContext) -> Plan:
    """Hold a run: stop what runs; the stage it was in goes on later under the next attempt's name."""
    steps, stage = context.steps, step_table.current_stage(context.steps)
    held_before = conditions.is_true(codec.conditions(context.observed.run.get("status")), "Suspended")
    begun = stage is not None and step_table.attempt(steps, stage) > 0
    if begun and stage is not None and not held_before:
        number = step_table.attempt(steps, stage)
        steps = step_table.renewed(steps, stage, number + 1, context.moment, "the run was suspended")
    outcome = StageOutcome(
        steps=steps,
        delete=teardown.leftovers(context.observed),
        terminate=pipeline_runs.to_stop(context.observed),
    )
    measured = progress.measure(context, outcome)
    kept = replace(measured, seconds_left=None, percent=context.status.progress_percent)
    status = _status(context, outcome, run_conditions.suspended(context, steps), kept)
    busy = bool(outcome.delete or pipeline_runs.may_run(context.observed))
    waits = [run_outcome.seconds_to_deadline(context), pipeline_stage.BACKEND_REQUEUE_S if busy else None]
    return _plan(context, outcome, status, waits)


def _judge_gates(context: RunContext, basis: Basis, outcome: StageOutcome) -> Plan:
    """End a run whose stages are all complete: by the gates as they are now."""
    found = run_outcome.scores(context, outcome.steps)
    scored = run_outcome.score_metrics(context, found)
    outcome = replace(outcome, metrics=progress.joined(outcome.metrics, scored))
    unknown = run_outcome.a_gate_names_no_score(context, found)
    if unknown is not None:
        return _active(context, basis, replace(outcome, stalled=unknown, apply=(), submit=()))
    broken = run_outcome.a_gate_is_not_kept(context, found)
    return _ended(context, basis, replace(outcome, failed=broken))


def _ended(context: RunContext, basis: Basis, outcome: StageOutcome) -> Plan:
    """End a run for ever."""
    finding = outcome.failed or run_outcome.completed(outcome.steps)
    succeeded = outcome.failed is None
    capacity = run_conditions.kept_capacity(context, outcome)
    measured = progress.measure(replace(context, status=_unmeasured(context.status)), outcome)
    said = run_conditions.ended(context, outcome.steps, succeeded, finding, capacity)
    status = _status(context, outcome, said, replace(measured, seconds_left=None))
    status |= {
        "startTime": context.status.start_time or timestamp(context.moment),
        "completionTime": timestamp(context.moment),
        "snapshot": context.status.snapshot or basis.digest,
    }
    model = run_outcome.published(outcome.steps) if succeeded else None
    if model is not None:
        status |= {"model": model.model_dump(mode="json", by_alias=True)}
    over = teardown.finished(
        replace(context.observed, run={**context.observed.run, "status": status}), context.moment
    )
    plan = _plan(context, replace(outcome, apply=(), submit=()), status, [over.requeue_after_s])
    return replace(
        plan,
        delete=over.delete,
        terminate=over.terminate,
        finalizer=over.finalizer,
    )


def _cannot_be_read(observed: RunObservation, status: TrainingRunStatus, why: Finding, now: datetime) -> Plan:
    """Hold still: nothing is begun by a spec that is wrong, and only what it says plainly is heeded.

    That is ``suspend`` and the deadline, which may be all that a person can still change. Says what is wrong with it.
    """
    late = run_outcome.plain_deadline(observed.run, status, now)
    if late is not None:
        return _ended_unread(observed, status, late, now)
    before = codec.conditions(observed.run.get("status"))
    known = {condition["type"]: condition for condition in before}
    is_held = objects.asks_to_rest(observed.run)
    held = Finding("Suspended", "The run is suspended; before it is resumed, its spec must be put right.")
    free = Finding("NotSuspended", why.message)
    said = [
        _kept(known, "Succeeded", ConditionUpdate("Succeeded", "Unknown", why)),
        ConditionUpdate("Finished", "False", why),
        *_milestones(observed, status, known),
        _kept(known, "CapacityAvailable", run_conditions.CAPACITY_UNKNOWN),
        ConditionUpdate("Suspended", "True", held)
        if is_held
        else _kept(known, "Suspended", ConditionUpdate("Suspended", "False", free), "False"),
        ConditionUpdate("Reconciling", "False", why),
        ConditionUpdate("Stalled", "True", why),
    ]
    generation = objects.generation(observed.run)
    new = {
        **codec.sound(observed.run.get("status")),
        "observedGeneration": generation,
        "conditions": conditions.merge(before, said, generation, now),
    }
    old: Status = observed.run.get("status") or {}
    return Plan(
        status=new,
        events=events.events_of(old, new),
        delete=teardown.leftovers(observed) if is_held else (),
        terminate=pipeline_runs.to_stop(observed) if is_held else (),
        requeue_after_s=STALLED_REQUEUE_S,
        finalizer=pipeline_runs.holds_finalizer(observed),
    )


def _ended_unread(observed: RunObservation, status: TrainingRunStatus, late: Finding, now: datetime) -> Plan:
    """End a run whose time is over, though its spec cannot be read."""
    before = codec.conditions(observed.run.get("status"))
    known = {condition["type"]: condition for condition in before}
    said = [
        ConditionUpdate("Succeeded", "False", late),
        ConditionUpdate("Finished", "True", late),
        *_milestones(observed, status, known),
        ConditionUpdate("Suspended", "False", Finding("NotSuspended", "The run is over.")),
        ConditionUpdate("Reconciling", "False", late),
        ConditionUpdate("Stalled", "False", Finding("NotStalled", "No manual action required.")),
    ]
    generation = objects.generation(observed.run)
    new = {
        **codec.sound(observed.run.get("status")),
        "observedGeneration": generation,
        "completionTime": timestamp(now),
        "conditions": conditions.merge(before, said, generation, now),
    }
    old: Status = observed.run.get("status") or {}
    over = teardown.finished(replace(observed, run={**observed.run, "status": new}), now)
    return replace(over, events=events.events_of(old, new))


def _milestones(
    observed: RunObservation, status: TrainingRunStatus, known: Mapping[str, Status]
) -> list[ConditionUpdate]:
    makes_model = "model" in (observed.run.get("spec") or {})
    steps = step_table.completed(status.steps, makes_model=makes_model)
    return [_kept(known, kind.type, kind) for kind in run_conditions.milestones(steps)]


def _kept(
    known: Mapping[str, Status], kind: str, otherwise: ConditionUpdate, only: str | None = None
) -> ConditionUpdate:
    """Return the condition as it was, where it was said (and was so); else the other one."""
    held = known.get(kind)
    if held is None or (only is not None and held["status"] != only):
        return otherwise
    finding = Finding(str(held.get("reason", "")), str(held.get("message", "")))
    return ConditionUpdate(kind, held["status"], finding)


def _recovered(observed: RunObservation, steps: step_table.Steps, now: datetime) -> step_table.Steps:
    """Return the steps with attempts that only children remember: the status may have been lost."""
    uid = objects.uid(observed.run)
    for stage in step_table.stages(steps):
        made = [
            item.attempt
            for item in observed.children
            if item.label(names.LABEL_STAGE) == stage and item.label(names.LABEL_OWNER_UID) == uid
        ]
        newest = max(made, default=0)
        if newest > step_table.attempt(steps, stage):
            steps = step_table.begun(step_table.renewed(steps, stage, newest, now), stage, now)
    return steps


def _status(
    context: RunContext, outcome: StageOutcome, said: Iterable[ConditionUpdate], measured: progress.Measured
) -> dict[str, Json]:
    """Return the whole status as it is stored."""
    old = context.status
    going = next((step.name for step in outcome.steps if step.state in ("Running", "Failed")), None)
    queued = queueing.time_in_queue(context)
    fresh = old.model_copy(
        update={
            "observed_generation": objects.generation(context.observed.run),
            "step": going,
            "progress_percent": measured.percent,
            "estimated_seconds_left": measured.seconds_left,
            "restarts": (old.restarts or 0) + outcome.restarts,
            "counted_restarts": (old.counted_restarts or 0) + outcome.counted,
            "attempt": step_table.attempt(outcome.steps, names.STAGE_TRAIN),
            "zone": outcome.place.zone if outcome.place is not None else old.zone,
            "market": outcome.place.market if outcome.place is not None else old.market,
            "measured_time": measured.at,
            "queued_seconds": queued.seconds or None,
            "queued_since": queued.since,
            "steps": outcome.steps,
            "metrics": measured.metrics,
            "conditions": (),
        }
    )
    status = fresh.model_dump(mode="json", by_alias=True, exclude_none=True)
    before = codec.conditions(context.observed.run.get("status"))
    generation = objects.generation(context.observed.run)
    status["conditions"] = conditions.merge(before, said, generation, context.moment)
    return status


def _plan(context: RunContext, outcome: StageOutcome, status: Status, waits: list[float | None]) -> Plan:
    known = [wait for wait in waits if wait is not None]
    old: Status = context.observed.run.get("status") or {}
    return Plan(
        status=status,
        apply=outcome.apply,
        delete=outcome.delete,
        submit=outcome.submit,
        terminate=outcome.terminate,
        events=events.events_of(old, status),
        requeue_after_s=min(known) if known else None,
        status_first=dict(status) != dict(old),
        finalizer=bool(outcome.submit) or pipeline_runs.may_run(context.observed),
    )


def _snapshot(context: RunContext, basis: Basis) -> Object:
    own = owned.labels(context, names.ROLE_SNAPSHOT)
    data = {snapshot.SNAPSHOT_FILE: basis.document()}
    return owned.config_map(context, names.snapshot_name(context.name), own, data)


def _stage(steps: step_table.Steps) -> str:
    return step_table.current_stage(steps) or names.STAGE_MODEL


def _unmeasured(status: TrainingRunStatus) -> TrainingRunStatus:
    return status.model_copy(update={"measured_time": None})


def _with_activity(outcome: StageOutcome) -> step_table.Steps:
    """Return the steps; the one that goes on says what it does."""
    said = [
        step.model_copy(update={"message": outcome.activity})
        for step in outcome.steps
        if step.state == "Running"
    ]
    return step_table.replaced(outcome.steps, said[:1]) if outcome.activity else outcome.steps
