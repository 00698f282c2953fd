"""Reads Kubernetes objects into values, leniently: whatever an API server stored is read, and nothing raises.

Owns the reading of raw mappings; nothing above this package searches them again.
"""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_operator.core.observed.objects import (
    ObjectMetadata,
    ObservedCondition,
    ObservedConfigMap,
    ObservedDeployment,
    ObservedJob,
    ObservedObject,
    ObservedWarning,
)
from daybreak_operator.core.observed.pods import ObservedContainer, ObservedPod, Termination, WaitingState
from daybreak_operator.core.parts import items, part
from daybreak_operator.core.times import instant

Raw = Mapping[str, object]
JOBS = ("Job", "PyTorchJob", "TrainJob")


def parse_object(item: Raw) -> ObservedObject:
    """Return an object as a value of its kind."""
    metadata = metadata_of(item)
    if metadata.kind == "Pod":
        return _pod(metadata, item)
    if metadata.kind in JOBS:
        spec = part(item, "spec")
        policy = part(spec, "runPolicy") if metadata.kind == "PyTorchJob" else spec
        suspended, manager = bool(policy.get("suspend")), _text(policy, "managedBy")
        return ObservedJob(metadata, _conditions(item), suspended, manager)
    if metadata.kind == "Deployment":
        return _deployment(metadata, item)
    if metadata.kind == "ConfigMap":
        return ObservedConfigMap(metadata, _texts(item.get("data")))
    return ObservedObject(metadata)


def parse_warning(item: Raw) -> ObservedWarning:
    """Return a Warning event (``v1`` Event)."""
    return ObservedWarning(_text(part(item, "involvedObject"), "uid"), _text(item, "message"))


def metadata_of(item: Raw) -> ObjectMetadata:
    """Return an object's metadata."""
    found = part(item, "metadata")
    return ObjectMetadata(
        api_version=_text(item, "apiVersion"),
        kind=_text(item, "kind"),
        namespace=_text(found, "namespace"),
        name=_text(found, "name"),
        uid=_text(found, "uid"),
        labels=_texts(found.get("labels")),
        created=instant(found.get("creationTimestamp")),
        is_leaving=bool(found.get("deletionTimestamp")),
        gone_by=instant(found.get("deletionTimestamp")),
        owner_uids=frozenset(_text(owner, "uid") for owner in items(found, "ownerReferences")),
    )


def _pod(metadata: ObjectMetadata, item: Raw) -> ObservedPod:
    status = part(item, "status")
    init = [_container(one, is_init=True) for one in items(status, "initContainerStatuses")]
    main = [_container(one, is_init=False) for one in items(status, "containerStatuses")]
    return ObservedPod(
        metadata,
        phase=_text(status, "phase"),
        node=_text(part(item, "spec"), "nodeName"),
        reason=_text(status, "reason"),
        message=_text(status, "message"),
        conditions=_conditions(item),
        containers=(*init, *main),
        scheduler=_text(part(item, "spec"), "schedulerName"),
    )


def _deployment(metadata: ObjectMetadata, item: Raw) -> ObservedDeployment:
    asked = part(item, "spec").get("replicas")
    status = part(item, "status")
    containers = items(part(part(part(item, "spec"), "template"), "spec"), "containers")
    return ObservedDeployment(
        metadata,
        replicas=1 if asked is None else _whole(asked),
        ready_replicas=_whole(status.get("readyReplicas")),
        conditions=_conditions(item),
        image=_text(containers[0], "image") if containers else "",
        stale_replicas=max(0, _whole(status.get("replicas")) - _whole(status.get("updatedReplicas"))),
    )


def _container(item: Raw, *, is_init: bool) -> ObservedContainer:
    state = part(item, "state")
    waiting = part(state, "waiting")
    return ObservedContainer(
        name=_text(item, "name"),
        image=_text(item, "image"),
        is_init=is_init,
        is_ready=bool(item.get("ready")),
        restarts=_whole(item.get("restartCount")),
        waiting=WaitingState(_text(waiting, "reason"), _text(waiting, "message")) if waiting else None,
        ended=_termination(part(state, "terminated")),
        ended_before=_termination(part(part(item, "lastState"), "terminated")),
    )


def _termination(item: Raw) -> Termination | None:
    if not item:
        return None
    code = item.get("exitCode")
    return Termination(
        exit_code=None if code is None else _whole(code),
        reason=_text(item, "reason"),
        message=_text(item, "message"),
        finished=_text(item, "finishedAt"),
        started=_text(item, "startedAt"),
    )


def _conditions(item: Raw) -> tuple[ObservedCondition, ...]:
    return tuple(
        ObservedCondition(
            type=_text(one, "type"),
            status=_text(one, "status"),
            reason=_text(one, "reason"),
            message=_text(one, "message"),
            changed=instant(one.get("lastTransitionTime")),
        )
        for one in items(part(item, "status"), "conditions")
    )


def _text(item: Raw, name: str) -> str:
    found = item.get(name)
    return "" if found is None else str(found)


def _texts(found: object) -> dict[str, str]:
    if not isinstance(found, Mapping):
        return {}
    return {str(name): value for name, value in found.items() if isinstance(value, str)}


def _whole(found: object) -> int:
    return found if isinstance(found, int) and not isinstance(found, bool) else 0
