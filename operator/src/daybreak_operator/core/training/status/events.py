"""Events: one per transition, found by comparing the status before with the status after.

Owns their words. What did not change is not told again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from daybreak_operator.core import conditions
from daybreak_operator.core.plan import ObjectEvent, Severity, Status
from daybreak_operator.core.training.status import step_table

MAX_NOTE = 1000
"""An event's note takes 1,024 bytes (events.k8s.io/v1)."""


def events_of(old: Status, new: Status) -> tuple[ObjectEvent, ...]:
    """Return what to tell of a change of status."""
    return tuple(
        ObjectEvent(event.type, event.reason, _shortened(event.message))
        for event in (*_steps(old, new), *_counters(old, new), *_conditions(old, new))
    )


def _steps(old: Status, new: Status) -> Iterator[ObjectEvent]:
    before = {step["name"]: step.get("state", "Pending") for step in _items(old, "steps")}
    for step in _items(new, "steps"):
        name, state = step["name"], step["state"]
        if before.get(name, "Pending") == state:
            continue
        if state in ("Succeeded", "Skipped") and step.get("message", "").startswith(step_table.WARNING):
            yield ObjectEvent(
                "Warning", "DataRepeats", f"Step {name}: {step['message'].removeprefix(step_table.WARNING)}"
            )
        if state == "Running":
            yield ObjectEvent(
                "Normal", "StepStarted", f"Step {name} started (attempt {step.get('attempt', 1)})."
            )
        elif state == "Succeeded":
            yield ObjectEvent("Normal", "StepSucceeded", f"Step {name} produced {step.get('uri', '')}.")
        elif state == "Skipped":
            yield ObjectEvent(
                "Normal", "StepSkipped", f"Step {name} found its artifact: {step.get('uri', '')}."
            )
        elif state == "Failed":
            yield ObjectEvent("Warning", "StepFailed", f"Step {name} failed: {step.get('message', '')}")


def _counters(old: Status, new: Status) -> Iterator[ObjectEvent]:
    if (new.get("restarts") or 0) <= (old.get("restarts") or 0):
        return
    counted = (new.get("countedRestarts") or 0) > (old.get("countedRestarts") or 0)
    said = next((step["message"] for step in _items(new, "steps") if step["state"] == "Pending"), "")
    how = "counted" if counted else "not counted"
    yield ObjectEvent("Warning", "Restarting", f"Restart {new['restarts']} ({how}): {said}")


def _conditions(old: Status, new: Status) -> Iterator[ObjectEvent]:
    if old.get("startTime") is None and new.get("startTime") is not None:
        yield ObjectEvent("Normal", "Started", "The run started; its inputs are frozen from now on.")
    yield from _health(old, new)
    for kind in ("Suspended", "Stalled", conditions.QUEUE_IGNORED, conditions.OUTPUT_SHARED, "Finished"):
        held = conditions.find(_items(new, "conditions"), kind)
        if held is None or held["status"] != "True":
            yield from _outdated(held, old)
            if kind == "Suspended" and conditions.is_true(_items(old, "conditions"), kind):
                yield ObjectEvent("Normal", "Resumed", "The run was resumed.")
            continue
        before = conditions.find(_items(old, "conditions"), kind)
        if held["reason"] == "OthersWorkThere":
            continue  # many runs of one output are nothing out of the way: the condition says it
        told = before is not None and (before["status"], before.get("reason")) == ("True", held["reason"])
        if not told:
            yield ObjectEvent(_type_of(kind, new), held["reason"], held["message"])


def _outdated(held: Status | None, old: Status) -> Iterator[ObjectEvent]:
    """Tell once of a run that goes on although its stored spec does not hold any more."""
    before = conditions.find(_items(old, "conditions"), "Stalled") or {}
    if held is not None and held["reason"] == "SpecOutdated" != before.get("reason"):
        yield ObjectEvent("Warning", held["reason"], held["message"])


def _health(old: Status, new: Status) -> Iterator[ObjectEvent]:
    """Tell every finding of the guard once: its message names the step."""
    before = conditions.find(_items(old, "conditions"), conditions.TRAINING_HEALTHY)
    held = conditions.find(_items(new, "conditions"), conditions.TRAINING_HEALTHY)
    if held is None or (before is not None and before["message"] == held["message"]):
        return
    if held["status"] == "False":
        yield ObjectEvent("Warning", held["reason"], held["message"])
    elif before is not None and before["status"] == "False":
        yield ObjectEvent("Normal", conditions.TRAINING_HEALTHY, held["message"])


def _type_of(kind: str, new: Status) -> Severity:
    good = kind == "Suspended" or conditions.is_true(_items(new, "conditions"), "Succeeded")
    bad = kind in ("Stalled", conditions.QUEUE_IGNORED)
    return "Normal" if good and not bad else "Warning"


def _items(status: Status, name: str) -> Iterable[Status]:
    return [item for item in status.get(name) or () if isinstance(item, Mapping)]


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_NOTE else f"{text[: MAX_NOTE - 3]}..."
