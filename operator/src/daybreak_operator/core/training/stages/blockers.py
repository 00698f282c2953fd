"""What a person must mend before a run can go on: ``Stalled=True``, with the remedy in the sentence.

One function per obstacle: a Finding, or None where it is not in the way. Nothing here ends a run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from daybreak_contracts import names
from daybreak_operator.core.plan import Finding, Object
from daybreak_operator.core.training.observed import objects
from daybreak_operator.core.training.observed.observation import ObservedRun

UNPULLED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
MAX_MESSAGE = 4000


def something_named_is_missing(observed: ObservedRun) -> Finding | None:
    """The spec or the installation names a Secret that is not there."""
    if not observed.missing:
        return None
    return Finding("ReferenceMissing", "; ".join(observed.missing)[:MAX_MESSAGE])


def a_child_was_refused(observed: ObservedRun) -> Finding | None:
    """The API server did not take a child, as it is or for a quota."""
    if not observed.refused:
        return None
    quota = any("exceeded quota" in text for text in observed.refused)
    remedy = (
        "raise the quota or make the run smaller"
        if quota
        else "fix what it names; the run then continues by itself"
    )
    said = "; ".join(observed.refused)
    return Finding("QuotaExceeded" if quota else "ChildRefused", f"{said[:MAX_MESSAGE]}: {remedy}")


def an_image_cannot_be_pulled(pods: Iterable[Object]) -> Finding | None:
    """A pod waits for an image that its node cannot get."""
    for pod, container, waiting in _waiting(pods):
        if waiting.get("reason") in UNPULLED:
            said = f" ({str(waiting['message'])[:500]})" if waiting.get("message") else ""
            return Finding(
                "ImageCannotBePulled",
                f"pod {objects.name(pod)}: image {container.get('image', '')} cannot be pulled{said}; "
                "correct its name, push it, or give the service account an imagePullSecret",
            )
    return None


def a_container_cannot_be_made(pods: Iterable[Object]) -> Finding | None:
    """A pod waits for a Secret or ConfigMap that its containers name."""
    for pod, _, waiting in _waiting(pods):
        if waiting.get("reason") in ("CreateContainerConfigError", "CreateContainerError"):
            return Finding(
                "ContainerCannotBeMade",
                f"pod {objects.name(pod)}: {str(waiting.get('message', ''))[:500]}; "
                "make what it names in this namespace, or take it out of podTemplate",
            )
    return None


def a_quota_refuses_pods(events: Iterable[Object], jobs: Iterable[Object]) -> Finding | None:
    """A job's pods are not made, because a quota or a policy of the namespace refuses them."""
    alive = {objects.uid(job): job for job in jobs if not objects.has_ended(job)}
    for event in events:
        job = alive.get(str((event.get("involvedObject") or {}).get("uid", "")))
        message = str(event.get("message", ""))
        if job is None or "forbidden" not in message:
            continue
        quota = "exceeded quota" in message
        remedy = "raise the quota or make the run smaller" if quota else "allow it, or change podTemplate"
        return Finding(
            "QuotaExceeded" if quota else "PodsRefused",
            f"{job.get('kind')} {objects.name(job)}: {message[:1000]}: {remedy}",
        )
    return None


def a_name_belongs_to_another(wanted: Iterable[Object], observed: ObservedRun) -> Finding | None:
    """An object of a child's name is there, but it is not this run's: it is left alone."""
    uid = objects.uid(observed.run)
    foreign = {
        (item.get("kind"), objects.name(item))
        for item in observed.children
        if objects.label(item, names.LABEL_OWNER_UID) != uid
    }
    for item in wanted:
        if (item.get("kind"), objects.name(item)) in foreign:
            return Finding(
                "NameTaken",
                f"{item.get('kind')} {objects.name(item)} exists and does not belong to this run: delete or rename it, "
                "or give the run another name",
            )
    return None


def _waiting(pods: Iterable[Object]) -> Iterable[tuple[Object, Any, Any]]:
    """Yield (pod, container status, why it waits)."""
    for pod in pods:
        status = pod.get("status") or {}
        for key in ("initContainerStatuses", "containerStatuses"):
            for container in status.get(key) or ():
                waiting = (container.get("state") or {}).get("waiting")
                if waiting:
                    yield pod, container, waiting
