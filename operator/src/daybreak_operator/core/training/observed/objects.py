"""Kubernetes objects as mappings: what a decision reads of them, in one place. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from daybreak_contracts import names
from daybreak_operator.core.plan import Object, Ref
from daybreak_operator.core.times import instant


def metadata(item: Object) -> Mapping[str, Any]:
    """Return an object's metadata; none is an empty one."""
    found: Mapping[str, Any] = item.get("metadata") or {}
    return found


def name(item: Object) -> str:
    """Return an object's name."""
    return str(metadata(item).get("name", ""))


def uid(item: Object) -> str:
    """Return an object's uid; empty before it is stored."""
    return str(metadata(item).get("uid", ""))


def label(item: Object, key: str) -> str:
    """Return a label's value; empty when it is absent."""
    return str((metadata(item).get("labels") or {}).get(key, ""))


def attempt(item: Object) -> int:
    """Return the attempt that a child belongs to; 0 when it says none."""
    text = label(item, names.LABEL_ATTEMPT)
    return int(text) if text.isdecimal() else 0


def is_leaving(item: Object) -> bool:
    """Return whether an object is being deleted."""
    return bool(metadata(item).get("deletionTimestamp"))


def ref(item: Object) -> Ref:
    """Return what deletes exactly this object."""
    return Ref(
        str(item.get("apiVersion", "")),
        str(item.get("kind", "")),
        str(metadata(item).get("namespace", "")),
        name(item),
        uid(item),
    )


def created(item: Object) -> datetime | None:
    """Return when an object was stored."""
    return instant(metadata(item).get("creationTimestamp"))


def condition(item: Object, kind: str) -> Mapping[str, Any] | None:
    """Return an object's condition of a type when its status is True, else None."""
    conditions = (item.get("status") or {}).get("conditions") or ()
    for found in conditions:
        if found.get("type") == kind and found.get("status") == "True":
            held: Mapping[str, Any] = found
            return held
    return None


def of_stage(items: Iterable[Object], kind: str, stage: str) -> list[Object]:
    """Return the children of a kind that belong to a stage, oldest attempt first."""
    found = [item for item in items if item.get("kind") == kind and label(item, names.LABEL_STAGE) == stage]
    return sorted(found, key=lambda item: (attempt(item), name(item)))


def has_ended(job: Object) -> bool:
    """Return whether a Job or PyTorchJob runs no more, whatever came of it."""
    return any(condition(job, kind) for kind in ("Complete", "Succeeded", "Failed"))


def ended_at(job: Object) -> datetime | None:
    """Return when a Job or PyTorchJob ended."""
    for kind in ("Complete", "Succeeded", "Failed"):
        found = condition(job, kind)
        if found is not None:
            return instant(found.get("lastTransitionTime"))
    return None
