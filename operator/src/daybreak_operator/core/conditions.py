"""Conditions as Kubernetes wants them: one per type, and a transition time that moves only with the status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from daybreak_operator.core.plan import Finding, Status
from daybreak_operator.core.times import timestamp

ConditionStatus = Literal["True", "False", "Unknown"]
TRAINING_HEALTHY = "TrainingHealthy"
"""Whether the guard finds the steps in line; said as soon as a training tells."""

QUEUE_IGNORED = "QueueIgnored"
"""Whether a run's jobs run outside the queue that it names; said only of runs that name one."""

OUTPUT_SHARED = "OutputShared"
"""Whether another run that is not over has the same ``output.uri``; said as soon as one had."""


@dataclass(frozen=True)
class ConditionUpdate:
    """One condition to say; its time is found by ``merge``."""

    type: str
    status: ConditionStatus
    finding: Finding


def merge(
    stored: Iterable[Status], said: Iterable[ConditionUpdate], generation: int, now: datetime
) -> list[Status]:
    """Return the conditions to store: those said, in their order, then stored ones of other types unchanged."""
    before = {condition["type"]: condition for condition in stored}
    merged = []
    for condition in said:
        old = before.pop(condition.type, None)
        same = old is not None and old["status"] == condition.status
        merged.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.finding.reason,
                "message": condition.finding.message,
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if same and old else timestamp(now),
            }
        )
    return [*merged, *(dict(condition) for condition in before.values())]


def find(conditions: Iterable[Status], kind: str) -> Status | None:
    """Return the condition of that type, or None."""
    return next((condition for condition in conditions if condition["type"] == kind), None)


def is_true(conditions: Iterable[Status], kind: str) -> bool:
    """Return whether the condition of that type is there and True."""
    condition = find(conditions, kind)
    return condition is not None and condition["status"] == "True"
