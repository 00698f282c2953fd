"""Events: one per transition, found by comparing what was stored with what is written now."""

from __future__ import annotations

from collections.abc import Iterator

from daybreak_operator.core.conditions import find
from daybreak_operator.core.deployment.state import RolloutState
from daybreak_operator.core.plan import ObjectEvent, Severity, Status

WARNINGS = ("RolledBack", "Paused", "Starved")


def events_of(
    before: RolloutState, after: RolloutState, stored: Status, status: Status
) -> tuple[ObjectEvent, ...]:
    """Return the events of this pass."""
    return (*_of_rollout(before, after), *_of_sleep(before, after), *_of_conditions(stored, status))


def _of_sleep(before: RolloutState, after: RolloutState) -> Iterator[ObjectEvent]:
    if before.asleep_since is None and after.asleep_since is not None:
        said = "nobody asked for spec.scaling.scaleToZeroSeconds: no replica runs until the next request"
        yield ObjectEvent("Normal", "ScaledToZero", said)
    elif before.asleep_since is not None and after.asleep_since is None:
        yield ObjectEvent("Normal", "Woken", "replicas are started again")


def _of_rollout(before: RolloutState, after: RolloutState) -> Iterator[ObjectEvent]:
    old, new = before.candidate, after.candidate
    if before.stable != after.stable and after.stable is not None:
        yield ObjectEvent("Normal", "Promoted", f"model {after.stable.words} serves everyone")
        return
    if new is None or after.promoted:
        return
    if old is not None and (old.digest, old.stage, old.weight) == (new.digest, new.stage, new.weight):
        return
    kind: Severity = "Warning" if new.stage in WARNINGS else "Normal"
    share = f" at {new.weight} %" if new.weight else ""
    why = f": {new.verdict}" if new.stage in ("RolledBack", "Paused") and new.verdict else ""
    yield ObjectEvent(kind, new.stage, f"model {new.words} is in stage {new.stage}{share}{why}")


GOOD = {"Ready": "True", "Stalled": "False", "CapacityAvailable": "True"}


def _of_conditions(stored: Status, status: Status) -> Iterator[ObjectEvent]:
    """What turned bad or good again. Nothing is ready at first, and nobody knows of capacity: that is no news."""
    for kind, good in GOOD.items():
        old, new = find(stored.get("conditions") or (), kind), find(status["conditions"], kind)
        was = old["status"] if old is not None else ("False" if kind == "Ready" else good)
        if new is None or new["status"] in (was, "Unknown") or (was, new["status"]) == ("Unknown", good):
            continue
        severity: Severity = "Normal" if new["status"] == good else "Warning"
        yield ObjectEvent(severity, new["reason"], f"{kind} is {new['status']}: {new['message']}")
