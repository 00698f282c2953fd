"""A run's status as it is stored. Owns what a run's decision asks of one that may be older or edited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daybreak_contracts.resources.run_status import TrainingRunStatus
from daybreak_operator.core import status_codec


def read(status: Any) -> TrainingRunStatus:
    """Return the status, without fields that do not validate."""
    return TrainingRunStatus.model_validate(status_codec.sound(TrainingRunStatus, status))


def sound(status: Any) -> dict[str, Any]:
    """Return the same as it is stored."""
    return status_codec.sound(TrainingRunStatus, status)


def conditions(status: Any) -> list[dict[str, Any]]:
    """Return the stored conditions that are conditions at all."""
    return status_codec.conditions(status)


def attempts(status: Any) -> dict[str, int]:
    """Return the newest attempt of each step that the status names."""
    found = status.get("steps") if isinstance(status, Mapping) else None
    return {
        str(step.get("name")): step["attempt"]
        for step in (found if isinstance(found, list | tuple) else ())
        if isinstance(step, Mapping) and isinstance(step.get("attempt"), int)
    }
