"""A run's status as it is stored: read leniently, because an older or edited one must stop nothing.

Owns the reading; a field that does not validate is dropped, the others stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from daybreak_contracts.resources.run_status import TrainingRunStatus

ROUNDS = 32
"""More than the status has fields: each round drops at least one."""


def read(status: Any) -> TrainingRunStatus:
    """Return the status, without fields that do not validate."""
    left = dict(status) if isinstance(status, Mapping) else {}
    for _ in range(ROUNDS):
        try:
            return TrainingRunStatus.model_validate(left)
        except ValidationError as error:
            broken = {detail["loc"][0] for detail in error.errors(include_url=False) if detail["loc"]}
            left = {name: value for name, value in left.items() if name not in broken}
            if not broken:
                break
    return TrainingRunStatus()


def conditions(status: Any) -> list[dict[str, Any]]:
    """Return the stored conditions that are conditions at all."""
    found = status.get("conditions") if isinstance(status, Mapping) else None
    wanted = {"type", "status", "lastTransitionTime"}
    return [dict(item) for item in found or () if isinstance(item, Mapping) and wanted <= item.keys()]


def attempts(status: Any) -> dict[str, int]:
    """Return the newest attempt of each step that the status names."""
    found = status.get("steps") if isinstance(status, Mapping) else None
    return {
        str(step.get("name")): step["attempt"]
        for step in found or ()
        if isinstance(step, Mapping) and isinstance(step.get("attempt"), int)
    }
