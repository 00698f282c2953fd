"""The TrainingRun itself as it is stored: what a decision reads of its metadata, whether its spec is valid or not."""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_operator.core.parts import part
from daybreak_operator.core.plan import Object


def metadata(item: Object) -> Mapping[str, object]:
    """Return an object's metadata; none is an empty one."""
    found: Mapping[str, object] = item.get("metadata") or {}
    return found


def name(item: Object) -> str:
    """Return what an object is called."""
    return str(metadata(item).get("name", ""))


def uid(item: Object) -> str:
    """Return an object's uid; empty before it is stored."""
    return str(metadata(item).get("uid", ""))


def generation(item: Object) -> int:
    """Return which version of the spec is stored."""
    found = metadata(item).get("generation")
    return found if isinstance(found, int) else 0


def is_leaving(item: Object) -> bool:
    """Return whether an object is being deleted."""
    return bool(metadata(item).get("deletionTimestamp"))


def asks_to_rest(item: Object) -> bool:
    """Return whether a run says ``suspend``, read from the object as it is: the rest of its spec need not hold."""
    return part(item, "spec").get("suspend") is True


def mapping(item: Object, name: str) -> Mapping[str, object]:
    """Return a mapping in an object's metadata (labels, annotations); empty when it is absent."""
    return part(metadata(item), name)
