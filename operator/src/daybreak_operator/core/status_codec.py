"""A status as it is stored: read leniently, because an older or edited one must stop nothing.

Owns the reading; a field that does not validate is dropped, the others stay. What a status means is its kind's.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError

from daybreak_operator.core.plan import Json, Status

ROUNDS = 32
"""More than a status has fields: each round drops at least one."""
VERDICT = frozenset({"type", "status"})
CONDITION = VERDICT | {"lastTransitionTime"}
"""Enough to go on from; one without a reason still says that a run is over."""
WHOLE = CONDITION | {"reason", "message"}


def sound(kind: type[BaseModel], status: object) -> dict[str, Json]:
    """Return a status without the fields that its kind does not know or take; a sound one as it is."""
    left = dict(status) if isinstance(status, Mapping) else {}
    if "conditions" in left:
        left["conditions"] = conditions(status, WHOLE)
    for _ in range(ROUNDS):
        try:
            kind.model_validate(left)
        except ValidationError as error:
            broken = {detail["loc"][0] for detail in error.errors(include_url=False) if detail["loc"]}
            if not broken:
                break
            left = {name: value for name, value in left.items() if name not in broken}
        else:
            return left
    return {}


def conditions(status: object, fields: frozenset[str] = CONDITION) -> list[Status]:
    """Return the stored conditions that have these fields."""
    found = status.get("conditions") if isinstance(status, Mapping) else None
    listed = found if isinstance(found, list | tuple) else ()
    return [dict(item) for item in listed if isinstance(item, Mapping) and item.keys() >= fields]
