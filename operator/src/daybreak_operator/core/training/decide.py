"""Decides about a TrainingRun: from all that is known of it to all that shall be, in one pure step.

Owns the order: deleted, over, wrong, out of time, held, and else the first stage that is not complete. The stages' own
rules stand in their modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.resources.run_status import TrainingRunStatus
from daybreak_operator.core import conditions
from daybreak_operator.core.conditions import Condition
from daybreak_operator.core.plan import Finding, Object, Plan
from daybreak_operator.core.times import timestamp
from daybreak_operator.core.training.children import owned
from daybreak_operator.core.training.context import STAGES, Look, Scene
from daybreak_operator.core.training.observed import objects, snapshot
from daybreak_operator.core.training.observed.observation import Observed
from daybreak_operator.core.training.observed.snapshot import Basis
from daybreak_operator.core.training.stages import (
    blockers,
    outcome,
    pipeline_runs,
    pipeline_stage,
    restarts,
    teardown,
    training_stage,
)
from daybreak_operator.core.training.status import (
    codec,
    events,
    progress,
    step_table,
)
from daybreak_operator.core.training.status import (
    conditions as run_conditions,
)

STALLED_LOOK_S = 60.0


def decide(observed: Observed, now: datetime) -> Plan:
    """Return what shall be; the same observation at the same time gives the same plan."""
    if objects.is_leaving(observed.run):
        return teardown.deleted(observed, now)
    if teardown.is_over(observed.run):
        return teardown.finished(observed, now)
    status = codec.read(observed.run.get("status"))
    basis = snapshot.basis(observed, status)
    if isinstance(basis, Finding):
        return _cannot_be_read(observed, status, basis, now)
    steps = _recovered(observed, step_table.completed(status.steps), now)
    scene = Scene(observed, basis.run, status, steps, now, basis.images, basis.backend)
    late = outcome.its_time_is_over(scene)
    if late is not None:
        return _ended(scene, basis, restarts.after(scene, _stage(steps), steps, restarts.fails(late)))
    if basis.run.spec.suspend:
        return _suspended(scene)
    look = _look(scene)
    if look.failed is not None:
        return _ended(scene, basis, look)
    if step_table.current_stage(look.steps) is None:
        return _judged(scene, basis, look)
    return _active(scene, basis, look)


def _look(scene: Scene) -> Look:
    """Look at each stage in turn, until one is not complete."""
    look = Look(steps=scene.steps)
    for stage in STAGES:
        if step_table.is_complete(scene.steps, stage):
            if stage == names.STAGE_TRAIN:
                look = replace(look, delete=training_stage.stragglers(scene))
            continue
        found = (
            training_stage.look(scene) if stage == names.STAGE_TRAIN else pipeline_stage.look(scene, stage)
        )
        look = replace(
            found,
            metrics=progress.joined(look.metrics, found.metrics),
            delete=(*look.delete, *found.delete),
        )
        if not step_table.is_complete(found.steps, stage):
            return look
        scene = replace(scene, steps=found.steps)
    return look


def _active(scene: Scene, basis: Basis, look: Look) -> Plan:
    """Go on: unless something is in the way, have what the look wants."""
    wanted = look.apply
    starts = scene.status.start_time is not None or bool(wanted or look.submit)
    if starts and wanted:
        wanted = (_snapshot(scene, basis), *wanted)
    taken = blockers.a_name_belongs_to_another(wanted, scene.observed)
    refused = blockers.a_child_was_refused(scene.observed)
    if taken is not None:
        look = replace(look, submit=(), stalled=taken, steps=scene.steps, place=None)
        wanted, starts = (), scene.status.start_time is not None
    elif refused is not None:
        look = replace(look, stalled=look.stalled or refused)
    measured = progress.measure(scene, look)
    steps = _with_activity(look) if measured.is_new else look.steps
    status = _status(scene, replace(look, steps=steps), run_conditions.active(scene, look), measured)
    if starts:
        status |= {
            "startTime": scene.status.start_time or timestamp(scene.moment),
            "snapshot": scene.status.snapshot or basis.digest,
            "backend": basis.backend,
        }
    waits = [look.look_again_s, outcome.seconds_to_deadline(scene)]
    waits += [STALLED_LOOK_S] if look.stalled is not None else []
    return _plan(scene, replace(look, apply=wanted), status, waits)


def _suspended(scene: Scene) -> Plan:
    """Hold a run: stop what runs; the stage it was in goes on later under the next attempt's name."""
    steps, stage = scene.steps, step_table.current_stage(scene.steps)
    held_before = conditions.is_true(codec.conditions(scene.observed.run.get("status")), "Suspended")
    begun = stage is not None and step_table.attempt(steps, stage) > 0
    if begun and stage is not None and not held_before:
        number = step_table.attempt(steps, stage)
        steps = step_table.renewed(steps, stage, number + 1, scene.moment, "the run was suspended")
    look = Look(
        steps=steps,
        delete=teardown.leftovers(scene.observed),
        terminate=pipeline_runs.to_stop(scene.observed),
    )
    measured = progress.measure(scene, look)
    kept = replace(measured, seconds_left=None, percent=scene.status.progress_percent)
    status = _status(scene, look, run_conditions.suspended(scene, steps), kept)
    busy = bool(look.delete or pipeline_runs.may_run(scene.observed))
    waits = [outcome.seconds_to_deadline(scene), pipeline_stage.BACKEND_LOOK_S if busy else None]
    return _plan(scene, look, status, waits)


def _judged(scene: Scene, basis: Basis, look: Look) -> Plan:
    """End a run whose stages are all complete: by the gates as they are now."""
    found = outcome.scores(scene, look.steps)
    look = replace(look, metrics=progress.joined(look.metrics, outcome.score_metrics(found)))
    unknown = outcome.a_gate_names_no_score(scene, found)
    if unknown is not None:
        return _active(scene, basis, replace(look, stalled=unknown, apply=(), submit=()))
    broken = outcome.a_gate_is_not_kept(scene, found)
    return _ended(scene, basis, replace(look, failed=broken))


def _ended(scene: Scene, basis: Basis, look: Look) -> Plan:
    """End a run for ever."""
    finding = look.failed or outcome.COMPLETED
    succeeded = look.failed is None
    capacity = run_conditions.kept_capacity(scene, look)
    measured = progress.measure(replace(scene, status=_unmeasured(scene.status)), look)
    said = run_conditions.ended(look.steps, succeeded, finding, capacity)
    status = _status(scene, look, said, replace(measured, seconds_left=None))
    status |= {
        "startTime": scene.status.start_time or timestamp(scene.moment),
        "completionTime": timestamp(scene.moment),
        "snapshot": scene.status.snapshot or basis.digest,
    }
    if succeeded:
        status |= {"model": outcome.published(look.steps).model_dump(mode="json", by_alias=True)}
    over = teardown.finished(
        replace(scene.observed, run={**scene.observed.run, "status": status}), scene.moment
    )
    plan = _plan(scene, replace(look, apply=(), submit=()), status, [over.look_again_s])
    return replace(
        plan,
        delete=over.delete,
        terminate=over.terminate,
        finalizer=over.finalizer,
    )


def _cannot_be_read(observed: Observed, status: TrainingRunStatus, why: Finding, now: datetime) -> Plan:
    """Hold still: nothing is begun or stopped by a spec that is wrong; say what is wrong with it."""
    before = codec.conditions(observed.run.get("status"))
    known = {condition["type"]: condition for condition in before}
    said = [
        _kept(known, "Succeeded", Condition("Succeeded", "Unknown", why)),
        Condition("Finished", "False", why),
        *[
            _kept(known, kind.type, kind)
            for kind in run_conditions.milestones(step_table.completed(status.steps))
        ],
        _kept(known, "CapacityAvailable", run_conditions.CAPACITY_UNKNOWN),
        _kept(known, "Suspended", Condition("Suspended", "False", Finding("NotSuspended", why.message))),
        Condition("Reconciling", "False", why),
        Condition("Stalled", "True", why),
    ]
    generation = int(objects.metadata(observed.run).get("generation") or 0)
    new = {
        **codec.sound(observed.run.get("status")),
        "observedGeneration": generation,
        "conditions": conditions.merge(before, said, generation, now),
    }
    old: Mapping[str, Any] = observed.run.get("status") or {}
    return Plan(
        status=new,
        events=events.events(old, new),
        look_again_s=STALLED_LOOK_S,
        finalizer=pipeline_runs.holds_finalizer(observed),
    )


def _kept(known: Mapping[str, Mapping[str, Any]], kind: str, otherwise: Condition) -> Condition:
    held = known.get(kind)
    if held is None:
        return otherwise
    finding = Finding(str(held.get("reason", "")), str(held.get("message", "")))
    return Condition(kind, held["status"], finding)


def _recovered(observed: Observed, steps: step_table.Steps, now: datetime) -> step_table.Steps:
    """Return the steps with attempts that only children remember: the status may have been lost."""
    uid = objects.uid(observed.run)
    for stage in STAGES:
        made = [
            objects.attempt(item)
            for item in observed.children
            if objects.label(item, names.LABEL_STAGE) == stage
            and objects.label(item, names.LABEL_OWNER_UID) == uid
        ]
        newest = max(made, default=0)
        if newest > step_table.attempt(steps, stage):
            steps = step_table.begun(step_table.renewed(steps, stage, newest, now), stage, now)
    return steps


def _status(
    scene: Scene, look: Look, said: Iterable[Condition], measured: progress.Measured
) -> dict[str, Any]:
    """Return the whole status as it is stored."""
    old = scene.status
    going = next((step.name for step in look.steps if step.state in ("Running", "Failed")), None)
    fresh = old.model_copy(
        update={
            "observed_generation": int(objects.metadata(scene.observed.run).get("generation") or 0),
            "step": going,
            "progress_percent": measured.percent,
            "estimated_seconds_left": measured.seconds_left,
            "restarts": (old.restarts or 0) + look.restarts,
            "counted_restarts": (old.counted_restarts or 0) + look.counted,
            "attempt": step_table.attempt(look.steps, names.STAGE_TRAIN),
            "zone": look.place.zone if look.place is not None else old.zone,
            "market": look.place.market if look.place is not None else old.market,
            "measured_time": measured.at,
            "steps": look.steps,
            "metrics": measured.metrics,
            "conditions": (),
        }
    )
    status = fresh.model_dump(mode="json", by_alias=True, exclude_none=True)
    before = codec.conditions(scene.observed.run.get("status"))
    generation = int(objects.metadata(scene.observed.run).get("generation") or 0)
    status["conditions"] = conditions.merge(before, said, generation, scene.moment)
    return status


def _plan(scene: Scene, look: Look, status: Mapping[str, Any], waits: list[float | None]) -> Plan:
    known = [wait for wait in waits if wait is not None]
    old: Mapping[str, Any] = scene.observed.run.get("status") or {}
    return Plan(
        status=status,
        apply=look.apply,
        delete=look.delete,
        submit=look.submit,
        terminate=look.terminate,
        events=events.events(old, status),
        look_again_s=min(known) if known else None,
        status_first=dict(status) != dict(old),
        finalizer=bool(look.submit) or pipeline_runs.may_run(scene.observed),
    )


def _snapshot(scene: Scene, basis: Basis) -> Object:
    own = owned.labels(scene, names.ROLE_SNAPSHOT)
    data = {snapshot.SNAPSHOT_FILE: basis.document()}
    return owned.config_map(scene, names.snapshot_name(scene.name), own, data)


def _stage(steps: step_table.Steps) -> str:
    return step_table.current_stage(steps) or names.STAGE_MODEL


def _unmeasured(status: TrainingRunStatus) -> TrainingRunStatus:
    return status.model_copy(update={"measured_time": None})


def _with_activity(look: Look) -> step_table.Steps:
    """Return the steps; the one that goes on says what it does."""
    said = [
        step.model_copy(update={"message": look.activity}) for step in look.steps if step.state == "Running"
    ]
    return step_table.replaced(look.steps, said[:1]) if look.activity else look.steps
