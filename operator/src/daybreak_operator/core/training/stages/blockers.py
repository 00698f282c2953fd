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
)
from daybreak_operator.core.observed.waits import what_does_not_come
from daybreak_operator.core.plan import Finding, Object
from daybreak_operator.core.pod_shape.remedies import QUOTA_FULL, is_refusal, remedy_of
from daybreak_operator.core.rules import Rule
from daybreak_operator.core.training.children.owned import QUEUE_LABEL
from daybreak_operator.core.training.observed import objects
from daybreak_operator.core.training.observed.launcher import Launcher, the_kind_is_absent
from daybreak_operator.core.training.observed.observation import RunObservation

MAX_MESSAGE = 4000
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
    """A pod waits for a Secret or ConfigMap that its containers name, or its node cannot begin one."""
    for pod, _, waiting in _waiting(subject.pods):
        if waiting.for_config or waiting.for_start:
            said = waiting.message[:500] or waiting.reason
            return Finding("ContainerCannotBeMade", f"pod {pod.name}: {said}; {waiting.remedy}")
    return None


def something_does_not_come(subject: BlockerInput) -> Finding | None:
    """A pod waits for what it mounts, for its sandbox, or for a scheduler that is not there."""
    if subject.moment is None:
        return None
    return what_does_not_come(subject.pods, subject.observed.events, subject.moment)


def a_quota_refuses_pods(subject: BlockerInput) -> Finding | None:
    """A job's pods are not made, because a quota, a policy of the namespace or a webhook refuses them."""
    for job, message in _refusals(subject):
        reason = "QuotaExceeded" if QUOTA_FULL in message else "PodsRefused"
        return Finding(reason, f"{job.kind} {job.name}: {message[:1000]}: {_remedy(message)}")
    return None


def _refusals(subject: BlockerInput) -> Iterator[tuple[ObservedJob, str]]:
    """Yield (job, what the API server says of its pods) while pods are lacking."""
    made = [pod for pod in subject.pods if not pod.is_leaving and pod.phase not in ("Failed", "Succeeded")]
    if len(made) >= subject.num_pods:
        return  # an event stays for an hour: what it tells of is over
    alive = {job.uid: job for job in subject.jobs if not job.has_ended}
    for event in subject.observed.events:
        job = alive.get(event.about_uid)
        if job is not None and is_refusal(event.message):
            yield job, event.message


def _remedy(message: str) -> str:
    """Return what helps when pods are refused."""
    if QUOTA_FULL in message:
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
    """Return whether anything but a full quota refuses pods: in another place they would be refused as well."""
    return any(QUOTA_FULL not in message for _, message in _refusals(subject))


PODS_CANNOT_START: tuple[Rule[BlockerInput], ...] = (
    an_image_cannot_be_pulled,
    a_container_cannot_be_made,
    something_does_not_come,
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
