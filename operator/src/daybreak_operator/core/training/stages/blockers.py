"""What a person must fix before a run can continue: ``Stalled=True``, with the remedy in the sentence.

One rule per blocker. Nothing here ends a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from daybreak_contracts import names
from daybreak_operator.core.observed.objects import ObservedJob, ObservedObject
from daybreak_operator.core.observed.pods import (
    ObservedContainer,
    ObservedPod,
    WaitingState,
    volume_that_does_not_come,
)
from daybreak_operator.core.plan import Finding, Object
from daybreak_operator.core.pod_shape.remedies import WEBHOOK_DOWN, remedy_of
from daybreak_operator.core.rules import Rule
from daybreak_operator.core.training.children.owned import QUEUE_LABEL
from daybreak_operator.core.training.observed import objects
from daybreak_operator.core.training.observed.launcher import Launcher, the_kind_is_absent
from daybreak_operator.core.training.observed.observation import RunObservation

MAX_MESSAGE = 4000
DENIED = "denied the request"
"""What the API server says of a webhook (a policy engine, JobSet's own) that refuses an object."""
REFUSED = ("forbidden", DENIED, WEBHOOK_DOWN)
MULTIKUEUE = "kueue.x-k8s.io/multikueue"
"""What Kueue writes into ``managedBy`` of a job whose queue has a check of that controller."""
OPERATORS_OWN_CONTAINER = "init-pytorch"
"""The training operator 1.9 puts it before each worker, without a security context; a podTemplate cannot reach it."""


@dataclass(frozen=True)
class BlockerInput:
    """What a blocker is looked for in."""

    observed: RunObservation
    pods: tuple[ObservedPod, ...] = ()
    """Of the attempt that runs."""
    jobs: tuple[ObservedJob, ...] = ()
    """Of the attempt that runs."""
    wanted: tuple[Object, ...] = ()
    """Children that shall be applied."""
    num_pods: int = 1
    """How many the attempt has when all are made."""
    moment: datetime | None = None
    """When this pass is taken, where it matters for how long something was so."""
    launcher: Launcher | None = None
    """What would train; None where nothing is about to begin."""


def something_named_is_missing(subject: BlockerInput) -> Finding | None:
    """The spec or the installation names a Secret that is not there."""
    if not subject.observed.missing:
        return None
    return Finding("ReferenceMissing", "; ".join(subject.observed.missing)[:MAX_MESSAGE])


def a_kind_is_absent(subject: BlockerInput) -> Finding | None:
    """The run trains a model, and the cluster does not know the kind of the job that would."""
    observed = subject.observed
    if subject.launcher is None:
        return None
    return the_kind_is_absent(subject.launcher, observed.run, observed.absent_kinds)


BEFORE_A_STAGE: tuple[Rule[BlockerInput], ...] = (something_named_is_missing, a_kind_is_absent)
"""Of an attempt that has not begun."""


def a_child_was_refused(subject: BlockerInput) -> Finding | None:
    """The API server did not take a child, as it is or for a quota."""
    refused = subject.observed.refused
    if not refused:
        return None
    quota = any("exceeded quota" in text for text in refused)
    remedy = (
        "raise the quota or make the run smaller"
        if quota
        else "fix what it names; the run then continues by itself"
    )
    said = "; ".join(refused)
    return Finding("QuotaExceeded" if quota else "ChildRefused", f"{said[:MAX_MESSAGE]}: {remedy}")


def an_image_cannot_be_pulled(subject: BlockerInput) -> Finding | None:
    """A pod waits for an image that its node cannot get."""
    for pod, container, waiting in _waiting(subject.pods):
        if waiting.for_image:
            said = f" ({waiting.message[:500]})" if waiting.message else ""
            return Finding(
                "ImageCannotBePulled",
                f"pod {pod.name}: image {container.image} cannot be pulled{said}; "
                "correct its name, push it, or give the service account an imagePullSecret",
            )
    return None


def a_container_cannot_be_made(subject: BlockerInput) -> Finding | None:
    """A pod waits for a Secret or ConfigMap that its containers name."""
    for pod, _, waiting in _waiting(subject.pods):
        if waiting.for_config:
            return Finding(
                "ContainerCannotBeMade",
                f"pod {pod.name}: {waiting.message[:500]}; "
                "make what it names in this namespace, or take it out of podTemplate",
            )
    return None


def a_volume_does_not_come(subject: BlockerInput) -> Finding | None:
    """A pod has its node and waits for a Secret, ConfigMap or claim that it mounts."""
    if subject.moment is None:
        return None
    said = volume_that_does_not_come(subject.pods, subject.observed.events, subject.moment)
    return Finding("VolumeDoesNotCome", said) if said is not None else None


def a_quota_refuses_pods(subject: BlockerInput) -> Finding | None:
    """A job's pods are not made, because a quota, a policy of the namespace or a webhook refuses them."""
    made = [pod for pod in subject.pods if not pod.is_leaving and pod.phase not in ("Failed", "Succeeded")]
    if len(made) >= subject.num_pods:
        return None  # an event stays for an hour: what it tells of is over
    alive = {job.uid: job for job in subject.jobs if not job.has_ended}
    for event in subject.observed.events:
        job, message = alive.get(event.about_uid), event.message
        if job is None or not any(word in message for word in REFUSED):
            continue
        quota = "exceeded quota" in message
        remedy = _remedy(message)
        return Finding(
            "QuotaExceeded" if quota else "PodsRefused",
            f"{job.kind} {job.name}: {message[:1000]}: {remedy}",
        )
    return None


def _remedy(message: str) -> str:
    """Return what helps when pods are refused."""
    if "exceeded quota" in message:
        return "raise the quota or make the run smaller"
    if "violates PodSecurity" in message and OPERATORS_OWN_CONTAINER in message:
        return (
            "that container is the training operator's own: give its template a securityContext "
            "(docs/operations.md, What makes the training pods), or set training.launcher to Job in a new run"
        )
    return remedy_of(message)


def a_queue_sends_it_elsewhere(subject: BlockerInput) -> Finding | None:
    """The queue is MultiKueue's: another cluster would run the job, which has nothing that its pods need."""
    for job in subject.jobs:
        if job.managed_by == MULTIKUEUE and not job.has_ended:
            return Finding(
                "SentElsewhere",
                f"Kueue hands {job.kind} {job.name} to another cluster (MultiKueue), which has neither the run's "
                "arguments nor the place for its results: name a queue of this cluster in the run's label "
                f"{QUEUE_LABEL}",
            )
    return None


def a_name_belongs_to_another(subject: BlockerInput) -> Finding | None:
    """An object of a child's name is there, but it is not this run's: it is left alone."""
    observed = subject.observed
    uid = objects.uid(observed.run)
    foreign = {
        (item.kind, item.name): item for item in observed.children if item.label(names.LABEL_OWNER_UID) != uid
    }
    for wanted in subject.wanted:
        item = foreign.get((wanted["kind"], wanted["metadata"]["name"]))
        if item is not None:
            return Finding("NameTaken", f"{item.kind} {item.name} {_whose(item, observed.run)}")
    return None


def _whose(item: ObservedObject, run: Object) -> str:
    """Return whose an object is that has a child's name, and what helps."""
    named = (item.label(names.LABEL_OWNER_KIND), item.label(names.LABEL_OWNER))
    if named == (names.KIND_RUN, objects.name(run)):
        chosen = f"{names.LABEL_OWNER_UID}={item.label(names.LABEL_OWNER_UID)}"
        return (
            "is left of a deleted run of this name, whose results it may hold: delete what that run left (kubectl "
            f"delete all,configmaps -n {item.metadata.namespace} -l {chosen}), or give the run another name"
        )
    return "exists and does not belong to this run: delete or rename it, or give the run another name"


def a_policy_refuses_pods(subject: BlockerInput) -> bool:
    """Return whether pod security, a webhook or an absent account or class refuses pods: another place would too."""
    uids = {job.uid for job in subject.jobs if not job.has_ended}
    events = [event for event in subject.observed.events if event.about_uid in uids]
    words = ("violates PodSecurity", DENIED, WEBHOOK_DOWN, "not found", "no PriorityClass")
    return any(word in event.message for event in events for word in words)


PODS_CANNOT_START: tuple[Rule[BlockerInput], ...] = (
    an_image_cannot_be_pulled,
    a_container_cannot_be_made,
    a_volume_does_not_come,
)
RUNNING: tuple[Rule[BlockerInput], ...] = (
    something_named_is_missing,
    *PODS_CANNOT_START,
    a_quota_refuses_pods,
    a_queue_sends_it_elsewhere,
)
"""Of an attempt that was begun, in the order in which they are told."""


def _waiting(pods: Iterable[ObservedPod]) -> Iterator[tuple[ObservedPod, ObservedContainer, WaitingState]]:
    """Yield (pod, container, why it waits)."""
    for pod in pods:
        for container in pod.containers:
            if container.waiting is not None:
                yield pod, container, container.waiting
