"""Whose an object is that has the name of a child. Pure.

Ours: with our controller; or with none, and left of this object (labels or owner references taken away, its owner
deleted with ``--cascade=orphan``). All else is somebody's, and is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_contracts import names
from daybreak_operator.core.plan import Object
from daybreak_operator.shell.kube.answers import ApiError
from daybreak_operator.shell.reconcile import drift


def goes_unnoticed(child: Object) -> bool:
    """Return whether an apply could take another's object over without a conflict: its fields would be joined to ours.

    Deployments, Services, Roles and the like differ in some field from any that are not ours.
    """
    return child["kind"] == "ConfigMap" or set(child) <= {"apiVersion", "kind", "metadata"}


def may_be_anothers(error: ApiError) -> bool:
    """Return whether a refusal may be for an object of that name that is not ours: two controllers, a fixed field."""
    return "Controller" in str(error) or "immutable" in str(error)


def is_ours(found: Object, child: Object) -> bool:
    """Return whether an object that is there may be taken as the child."""
    controllers = _controllers(found)
    wanted = _labels(child)
    if controllers:
        return wanted.get(names.LABEL_OWNER_UID) in controllers
    labels = _labels(found)
    uid = labels.get(names.LABEL_OWNER_UID)
    if uid is None:
        return _was_applied_by_us(found)
    if uid == wanted.get(names.LABEL_OWNER_UID):
        return True
    # Left of a namesake. What a deployment has is named by what it is; a run's has results and a job of that run.
    same = all(labels.get(name) == wanted.get(name) for name in (names.LABEL_OWNER_KIND, names.LABEL_OWNER))
    return same and (wanted.get(names.LABEL_OWNER_KIND) == names.KIND_DEPLOYMENT or drift.is_record(found))


def is_another(found: Object, before: Object) -> bool:
    """Return whether an object is not the one that it was, or is controlled by another."""
    same = found["metadata"]["uid"] == before["metadata"]["uid"]
    return not same or _controllers(found) != _controllers(before)


def _controllers(thing: Object) -> set[str]:
    references = thing["metadata"].get("ownerReferences") or ()
    return {reference["uid"] for reference in references if reference.get("controller")}


def _labels(thing: Object) -> Mapping[str, str]:
    return thing["metadata"].get("labels") or {}


def _was_applied_by_us(found: Object) -> bool:
    managers = found["metadata"].get("managedFields") or ()
    return any(
        one.get("manager") == names.FIELD_OWNER and one.get("operation") == "Apply" for one in managers
    )
