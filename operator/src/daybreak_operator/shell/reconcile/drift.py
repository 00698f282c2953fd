"""Whether the cluster is as a plan says: children, status. Pure.

Owns stamping children and comparing. A child is applied when its stamp is another one or a field that we set has
another value than after our last apply; what others add to it is theirs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daybreak_contracts import names
from daybreak_operator.core import conditions
from daybreak_operator.core.conditions import ConditionUpdate
from daybreak_operator.core.plan import Finding, Object, ObjectEvent, Plan

Body = dict[str, Any]
SCALARS = (str, int, float, bool, type(None))
"""Asked for first: to ask an abstract class about each leaf of each child took a third of a pass."""


def stamped(child: Object, owner: Object) -> Body:
    """Return the child with its controller, our labels and, as an annotation, the digest of what is applied."""
    metadata = dict(child["metadata"])
    metadata["labels"] = {
        **(metadata.get("labels") or {}),
        names.LABEL_OWNER_KIND: owner["kind"],
        names.LABEL_OWNER: owner["metadata"]["name"],
        names.LABEL_OWNER_UID: owner["metadata"]["uid"],
    }
    metadata.setdefault("namespace", owner["metadata"]["namespace"])
    if not is_record(child):
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    body = {**child, "metadata": metadata}
    annotations = {**(metadata.get("annotations") or {}), names.ANNOTATION_SPEC: digest(body)}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def is_record(child: Object) -> bool:
    """Return whether a child outlives its object."""
    return bool((child["metadata"].get("labels") or {}).get(names.LABEL_ROLE) == names.ROLE_RECORD)


def digest(value: Any) -> str:
    """Return a short digest of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=list).encode()).hexdigest()[:16]


def stamp_of(body: Object) -> str:
    """Return the digest of what was applied last; empty when nothing was."""
    annotations = body["metadata"].get("annotations") or {}
    return str(annotations.get(names.ANNOTATION_SPEC, ""))


def differences(wanted: Any, found: Any) -> frozenset[str]:
    """Return the paths at which what was wanted is not there.

    A list of named things is compared by name, another one as a whole. What is empty and absent is the same.
    """
    return frozenset(_differences(wanted, found, ""))


def _differences(wanted: Any, found: Any, path: str) -> Iterator[str]:
    if wanted is not None and isinstance(wanted, SCALARS):
        if wanted != found or isinstance(wanted, bool) != isinstance(found, bool):
            yield path
    elif wanted in (None, {}, [], ()) and found in (None, {}, []):
        return
    elif isinstance(wanted, (dict, Mapping)):
        if not isinstance(found, (dict, Mapping)):
            yield path
            return
        for name, value in wanted.items():
            yield from _differences(value, found.get(name), f"{path}.{name}")
    elif isinstance(wanted, Sequence):
        yield from _different_items(wanted, found, path)
    elif wanted != found:
        yield path


def _is_named(item: Any) -> bool:
    return isinstance(item, (dict, Mapping)) and isinstance(item.get("name"), str)


def _different_items(wanted: Sequence[Any], found: Any, path: str) -> Iterator[str]:
    if not isinstance(found, (list, Sequence)) or isinstance(found, str):
        yield path
        return
    if wanted and all(_is_named(item) for item in wanted):
        by_name = {item["name"]: item for item in found if _is_named(item)}
        for item in wanted:
            yield from _differences(item, by_name.get(item["name"]), f"{path}[{item['name']}]")
        return
    if len(wanted) != len(found):
        yield path
        return
    for index, (left, right) in enumerate(zip(wanted, found, strict=True)):
        yield from _differences(left, right, f"{path}[{index}]")


def plain(value: Any) -> Any:
    """Return the value as JSON would bring it back, without what is null."""
    if isinstance(value, SCALARS):
        return value
    if isinstance(value, (dict, Mapping)):
        return {name: plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, (list, Sequence)):
        return [plain(item) for item in value]
    return value


def overlaid(
    status: Mapping[str, Any], stored: Mapping[str, Any], finding: Finding | None, generation: int, now: Any
) -> Mapping[str, Any]:
    """Return the status with ``Stalled=True`` and the finding; without one, or when it is stalled, as it is.

    The time of the transition is the stored one when the object was stalled already.
    """
    if finding is None or conditions.is_true(status.get("conditions", ()), "Stalled"):
        return status
    said = [ConditionUpdate("Stalled", "True", finding)]
    before = [c for c in stored.get("conditions", ()) if c["type"] == "Stalled"]
    stalled = conditions.merge(before, said, generation, now)
    others = [dict(c) for c in status.get("conditions", ()) if c["type"] != "Stalled"]
    return {**status, "conditions": [*others, *stalled]}


def told(plan: Plan, stored: Object, finding: Finding | None) -> tuple[ObjectEvent, ...]:
    """Return the events to send: where a finding is laid over the status, it is told instead of that all is well."""
    status: Object = plan.status
    said = conditions.find(status.get("conditions", ()), "Stalled")
    if finding is None or said is None or said["status"] == "True":
        return plan.events
    before = conditions.find(stored.get("conditions", ()), "Stalled") or {}
    is_new = (before.get("status"), before.get("reason")) != ("True", finding.reason)
    others = tuple(event for event in plan.events if event.reason != said["reason"])
    return (*others, *((ObjectEvent("Warning", finding.reason, finding.message),) if is_new else ()))
