"""The conditions of a run, each from what the steps and the look say; in the order of the API's documentation.

Owns their words. A terminal condition is said once and never again touched.
"""

from __future__ import annotations

from daybreak_contracts import names
from daybreak_operator.core.conditions import Condition, Verdict
from daybreak_operator.core.plan import Finding
from daybreak_operator.core.training.context import Look, Scene
from daybreak_operator.core.training.status import step_table

MILESTONES = (
    ("DataReady", names.STAGE_DATA, "The data is prepared.", "The data is not prepared yet."),
    ("Trained", names.STAGE_TRAIN, "The model is trained.", "The model is not trained yet."),
    ("Evaluated", names.STAGE_MODEL, "The model is evaluated.", "The model is not evaluated yet."),
)
CAPACITY_UNKNOWN = Condition(
    "CapacityAvailable", "Unknown", Finding("NotAskedYet", "Training has not asked for machines yet.")
)


def active(scene: Scene, look: Look) -> list[Condition]:
    """Return the conditions of a run that goes on."""
    going = _going(look)
    reconciling = look.waiting or going
    return [
        Condition("Succeeded", "Unknown", look.stalled or reconciling),
        Condition("Finished", "False", look.stalled or reconciling),
        *milestones(look.steps),
        look.capacity or _kept_capacity(scene),
        Condition("Suspended", "False", Finding("NotSuspended", "The run is not suspended.")),
        Condition("Reconciling", "True", reconciling),
        _stalled(look.stalled),
    ]


def suspended(scene: Scene, steps: step_table.Steps) -> list[Condition]:
    """Return the conditions of a run that is held."""
    held = Finding("Suspended", "The run is suspended: set spec.suspend to false to let it go on.")
    return [
        Condition("Succeeded", "Unknown", held),
        Condition("Finished", "False", held),
        *milestones(steps),
        Condition("CapacityAvailable", "Unknown", held),
        Condition("Suspended", "True", held),
        Condition("Reconciling", "False", held),
        _stalled(None),
    ]


def ended(steps: step_table.Steps, succeeded: bool, finding: Finding, capacity: Condition) -> list[Condition]:
    """Return the conditions of a run that is over, for ever."""
    status: Verdict = "True" if succeeded else "False"
    return [
        Condition("Succeeded", status, finding),
        Condition("Finished", "True", finding),
        *milestones(steps),
        capacity,
        Condition("Suspended", "False", Finding("NotSuspended", "The run is over.")),
        Condition("Reconciling", "False", finding),
        _stalled(None),
    ]


def milestones(steps: step_table.Steps) -> list[Condition]:
    """Return DataReady, Trained and Evaluated."""
    said = []
    for kind, stage, reached, ahead in MILESTONES:
        complete = step_table.is_complete(steps, stage)
        failed = any(step.state == "Failed" for step in step_table.of_stage(steps, stage))
        if complete:
            said.append(Condition(kind, "True", Finding("Completed", reached)))
        else:
            said.append(Condition(kind, "False", Finding("Failed" if failed else "NotYet", ahead)))
    return said


def _kept_capacity(scene: Scene) -> Condition:
    for stored in scene.status.conditions:
        if stored.type == "CapacityAvailable":
            return Condition(stored.type, stored.status, Finding(stored.reason, stored.message))
    return CAPACITY_UNKNOWN


def kept_capacity(scene: Scene, look: Look) -> Condition:
    """Return what is known of capacity at the end: what was known before, unless this look knows better."""
    return look.capacity or _kept_capacity(scene)


def _going(look: Look) -> Finding:
    running = [step.name for step in look.steps if step.state == "Running"]
    if running:
        return Finding("Running", f"Step {running[0]} goes on.")
    waiting = next((step for step in look.steps if step.state == "Pending"), None)
    return Finding(
        "Pending", f"Step {waiting.name} is about to begin." if waiting else "The run is about to end."
    )


def _stalled(finding: Finding | None) -> Condition:
    if finding is None:
        return Condition("Stalled", "False", Finding("NotStalled", "Nothing is in the way."))
    return Condition("Stalled", "True", finding)
