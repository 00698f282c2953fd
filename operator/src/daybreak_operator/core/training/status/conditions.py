"""The conditions of a run, each from what the steps and the pass say; in the order of the API's documentation.

Owns their words. A terminal condition is said once and never again touched.
"""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_operator.core.conditions import OUTPUT_SHARED, QUEUE_IGNORED, ConditionStatus, ConditionUpdate
from daybreak_operator.core.plan import Finding
from daybreak_operator.core.training.context import RunContext, StageOutcome
from daybreak_operator.core.training.status import step_table

MILESTONES = (
    ("DataReady", names.STAGE_DATA, "The data is prepared.", "The data is not prepared yet."),
    ("Trained", names.STAGE_TRAIN, "The model is trained.", "The model is not trained yet."),
    ("Evaluated", names.STAGE_MODEL, "The model is evaluated.", "The model is not evaluated yet."),
)
CAPACITY_UNKNOWN = ConditionUpdate(
    "CapacityAvailable", "Unknown", Finding("NotAskedYet", "Training has not requested capacity yet.")
)


def active(context: RunContext, outcome: StageOutcome) -> list[ConditionUpdate]:
    """Return the conditions of a run that goes on."""
    going = _going(outcome)
    reconciling = outcome.waiting or going
    return [
        ConditionUpdate("Succeeded", "Unknown", outcome.stalled or reconciling),
        ConditionUpdate("Finished", "False", outcome.stalled or reconciling),
        *milestones(outcome.steps),
        outcome.capacity or _kept_capacity(context),
        ConditionUpdate("Suspended", "False", Finding("NotSuspended", "The run is not suspended.")),
        ConditionUpdate("Reconciling", "True", reconciling),
        _stalled(outcome.stalled, outcome.outdated),
        *((outcome.health,) if outcome.health is not None else ()),
        *((outcome.queue,) if outcome.queue is not None else ()),
        *((outcome.shared,) if outcome.shared is not None else ()),
    ]


def suspended(context: RunContext, steps: step_table.Steps) -> list[ConditionUpdate]:
    """Return the conditions of a run that is held."""
    held = Finding("Suspended", "The run is suspended: set spec.suspend to false to resume it.")
    return [
        ConditionUpdate("Succeeded", "Unknown", held),
        ConditionUpdate("Finished", "False", held),
        *milestones(steps),
        ConditionUpdate("CapacityAvailable", "Unknown", held),
        ConditionUpdate("Suspended", "True", held),
        ConditionUpdate("Reconciling", "False", held),
        _stalled(None),
        *_nothing_runs(context),
    ]


def ended(
    context: RunContext,
    steps: step_table.Steps,
    succeeded: bool,
    finding: Finding,
    capacity: ConditionUpdate,
) -> list[ConditionUpdate]:
    """Return the conditions of a run that is over, for ever."""
    status: ConditionStatus = "True" if succeeded else "False"
    return [
        ConditionUpdate("Succeeded", status, finding),
        ConditionUpdate("Finished", "True", finding),
        *milestones(steps),
        capacity,
        ConditionUpdate("Suspended", "False", Finding("NotSuspended", "The run is over.")),
        ConditionUpdate("Reconciling", "False", finding),
        _stalled(None),
        *_nothing_runs(context),
    ]


def milestones(steps: step_table.Steps) -> list[ConditionUpdate]:
    """Return DataReady, Trained and Evaluated; of a run that makes data alone, DataReady."""
    said = []
    for kind, stage, reached, ahead in MILESTONES:
        if not step_table.of_stage(steps, stage):
            continue
        complete = step_table.is_complete(steps, stage)
        failed = any(step.state == "Failed" for step in step_table.of_stage(steps, stage))
        if complete:
            said.append(ConditionUpdate(kind, "True", Finding("Completed", reached)))
        else:
            said.append(ConditionUpdate(kind, "False", Finding("Failed" if failed else "NotYet", ahead)))
    return said


def _kept_capacity(context: RunContext) -> ConditionUpdate:
    for stored in context.status.conditions:
        if stored.type == "CapacityAvailable":
            return ConditionUpdate(stored.type, stored.status, Finding(stored.reason, stored.message))
    return CAPACITY_UNKNOWN


def kept_capacity(context: RunContext, outcome: StageOutcome) -> ConditionUpdate:
    """Return what is known of capacity at the end: what was known before, unless this pass knows better."""
    return outcome.capacity or _kept_capacity(context)


def _nothing_runs(context: RunContext) -> list[ConditionUpdate]:
    """Return what is said of queue and output while nothing of the run runs, where anything was said before."""
    said = {stored.type for stored in context.status.conditions}
    nothing = Finding("NothingRuns", "No job of the run is there.")
    return [
        ConditionUpdate(kind, "False", nothing) for kind in (QUEUE_IGNORED, OUTPUT_SHARED) if kind in said
    ]


def _going(outcome: StageOutcome) -> Finding:
    running = [step.name for step in outcome.steps if step.state == "Running"]
    if running:
        return Finding("Running", f"Step {running[0]} is running.")
    waiting = next((step for step in outcome.steps if step.state == "Pending"), None)
    return Finding("Pending", f"Step {waiting.name} is pending." if waiting else "The run is finishing.")


def _stalled(finding: Finding | None, outdated: Finding | None = None) -> ConditionUpdate:
    if finding is None:
        nothing = outdated or Finding("NotStalled", "No manual action required.")
        return ConditionUpdate("Stalled", "False", nothing)
    return ConditionUpdate("Stalled", "True", finding)
