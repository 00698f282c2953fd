"""A run's status as it is stored. Owns what a run's decision asks of one that may be older or edited."""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_contracts.resources.run_status import TrainingRunStatus
from daybreak_operator.core import status_codec
from daybreak_operator.core.plan import Json, Status


def read(status: object) -> TrainingRunStatus:
    """Return the status, without fields that do not validate."""
    return TrainingRunStatus.model_validate(status_codec.sound(TrainingRunStatus, status))


def sound(status: object) -> dict[str, Json]:
    """Return the same as it is stored."""
    return status_codec.sound(TrainingRunStatus, status)


def conditions(status: object) -> list[Status]:
    """Return the stored conditions that are conditions at all."""
    return status_codec.conditions(status)


def attempts(status: object) -> dict[str, int]:
    """Return the newest attempt of each step that the status names."""
    found = status.get("steps") if isinstance(status, Mapping) else None
    return {
        str(step.get("name")): step["attempt"]
        for step in (found if isinstance(found, list | tuple) else ())
        if isinstance(step, Mapping) and isinstance(step.get("attempt"), int)
    }
