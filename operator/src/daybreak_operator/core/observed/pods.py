"""A pod as decisions read it: phase, conditions, and what its containers say. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from daybreak_operator.core.observed.objects import (
    ObservedCondition,
    ObservedObject,
    ObservedWarning,
    held_true,
)
from daybreak_operator.core.times import instant

DISRUPTED = "DisruptionTarget"
"""Condition of a pod that the cluster takes from its node: preemption, eviction, a node that went."""
GATED = "SchedulingGated"
"""Reason of ``PodScheduled`` while a pod has scheduling gates."""
IMAGE_REASONS = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
KUBELETS_REMEDIES = (
    ("EmptyDir", "give the volume more room in podTemplate (volumes, sizeLimit), or a claim in its place"),
    (
        "ephemeral",
        "ask for more ephemeral-storage in podTemplate (resources), or mount a claim for what is written",
    ),
    ("memory", "ask for more memory in podTemplate (resources)"),
)
"""By what the kubelet says (Kubernetes 1.34, pkg/kubelet/eviction) of a pod that it evicts."""
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError"})

REPLICA_TYPE = "training.kubeflow.org/replica-type"
"""Label that the training operator gives the pods of a PyTorchJob: master or worker."""
INDEX = "batch.kubernetes.io/job-completion-index"
"""Label that the Job controller gives the pods of an Indexed Job; Kubeflow Trainer's pods are such ones."""


def is_first(labels: Mapping[str, str], name: str) -> bool:
    """Return whether a training pod has rank 0: its labels say so, else its name, as the training operator gives it."""
    kind, index = labels.get(REPLICA_TYPE, ""), labels.get(INDEX, "")
    if kind:
        return kind.lower() == "master"
    return index == "0" if index else name.endswith("-master-0")


@dataclass(frozen=True)
class Termination:
    """How a container ended."""

    exit_code: int | None
    reason: str = ""
    message: str = ""
    finished: str = ""
    """RFC 3339; empty when it is not said."""
    started: str = ""
    """As that."""

    @property
    def last_line(self) -> str:
        """Return the last line that the container left as its termination message."""
        lines = self.message.strip().splitlines()
        return lines[-1].strip() if lines else ""


@dataclass(frozen=True)
class WaitingState:
    """Why a container waits."""

    reason: str = ""
    message: str = ""

    @property
    def for_image(self) -> bool:
        """Return whether its image cannot be pulled."""
        return self.reason in IMAGE_REASONS

    @property
    def for_config(self) -> bool:
        """Return whether something that it names (Secret, ConfigMap) cannot be had."""
        return self.reason in CONFIG_REASONS


@dataclass(frozen=True)
class ObservedContainer:
    """One container's status; init containers come first in a pod."""

    name: str
    image: str = ""
    is_init: bool = False
    is_ready: bool = False
    restarts: int = 0
    waiting: WaitingState | None = None
    ended: Termination | None = None
    """Its end, when it does not run now."""
    ended_before: Termination | None = None
    """The end of the time before."""

    @property
    def ends(self) -> tuple[Termination, ...]:
        """Return its ends that are known, the latest first."""
        return tuple(one for one in (self.ended, self.ended_before) if one is not None)


@dataclass(frozen=True)
class ObservedPod(ObservedObject):
    """A pod."""

    phase: str
    node: str
    """Name of its node; empty while it has none."""
    reason: str
    message: str
    conditions: tuple[ObservedCondition, ...]
    containers: tuple[ObservedContainer, ...]

    @property
    def conditions_held(self) -> frozenset[str]:
        """Return the types of its conditions that are True."""
        return frozenset(one.type for one in self.conditions if one.status == "True")

    @property
    def is_disrupted(self) -> bool:
        """Return whether the cluster takes it from its node."""
        return held_true(self.conditions, DISRUPTED) is not None

    @property
    def is_up(self) -> bool:
        """Return whether it runs and is ready, or has already done its work."""
        return self.phase == "Succeeded" or (self.phase == "Running" and "Ready" in self.conditions_held)

    @property
    def is_first(self) -> bool:
        """Return whether rank 0 of a training runs in it."""
        return is_first(self.metadata.labels, self.name)

    @property
    def why_unscheduled(self) -> str:
        """Return what the scheduler says when no node takes it; empty when it is scheduled, or not to be yet."""
        for one in self.conditions:
            if one.type == "PodScheduled" and one.status == "False" and one.reason != GATED:
                return one.message or one.reason or "it is not scheduled"
        return ""

    @property
    def why_ended(self) -> str:
        """Return why the kubelet ended it, or never began it: evicted for a full disk, no device left; else empty.

        Its containers then only say 137, or nothing.
        """
        if self.phase != "Failed" or not self.reason:
            return ""
        remedy = next((words for found, words in KUBELETS_REMEDIES if found in self.message), "")
        return f"{self.reason}: {self.message[:MAX_MESSAGE]}{f'; {remedy}' if remedy else ''}"

    @property
    def is_gated(self) -> bool:
        """Return whether something keeps it from the scheduler: Kueue, until its queue has room."""
        return any(
            (one.type, one.status, one.reason) == ("PodScheduled", "False", GATED) for one in self.conditions
        )

    def ended_at(self, container: str) -> datetime | None:
        """Return when one of its containers ended; a sidecar may run on beside it."""
        for one in self.containers:
            if one.name == container and not one.is_init and one.ended is not None:
                return instant(one.ended.finished)
        return None

    @property
    def finished(self) -> str:
        """Return when its last container ended (RFC 3339); empty when none says so."""
        return max((one.ended.finished for one in self.containers if one.ended is not None), default="")


@dataclass(frozen=True)
class ContainerFailure:
    """One container that left with another code than 0."""

    pod: str
    exit_code: int
    finished: str
    message: str

    @property
    def sentence(self) -> str:
        """The failure in words."""
        why = f": {self.message}" if self.message else ""
        return f"pod {self.pod} exited with code {self.exit_code}{why}"


MAX_MESSAGE = 600
OUT_OF_MEMORY = "OOMKilled"
MORE_MEMORY = "raise its memory in podTemplate (resources), or make the work smaller"


def container_failures(pods: Iterable[ObservedPod]) -> list[ContainerFailure]:
    """Return the containers that failed, the first one first."""
    found = [
        ContainerFailure(
            pod.name, one.ended.exit_code, one.ended.finished, pod.why_ended or explained(one.ended)
        )
        for pod in pods
        for one in pod.containers
        if one.ended is not None and one.ended.exit_code
    ]
    return sorted(found, key=lambda failure: (failure.finished, failure.pod))


def explained(ended: Termination) -> str:
    """Return why a container ended: want of memory first, else the last line that it left, else its reason.

    The kernel's word stands before the log's: a log ends where its program was killed, in the middle of good news.
    """
    if ended.reason == OUT_OF_MEMORY:
        said = f" (its last words: {ended.last_line[:MAX_MESSAGE]})" if ended.last_line else ""
        return f"{OUT_OF_MEMORY}: it took more memory than its limit or its node has; {MORE_MEMORY}{said}"
    return ended.last_line[:MAX_MESSAGE] or (ended.reason if ended.reason != "Error" else "")


VOLUME_S = 60.0
"""A volume that is attached, or a ConfigMap that a kubelet does not know yet, may fail a few times before it comes."""


def volume_that_does_not_come(
    pods: Iterable[ObservedPod], warnings: Iterable[ObservedWarning], now: datetime
) -> str | None:
    """Return a sentence about the first pod that has waited for a volume for a while; None where none does."""
    said = {warning.about_uid: warning.message for warning in warnings}
    for pod in sorted(pods, key=lambda one: one.name):
        made = pod.metadata.created
        waits = pod.phase == "Pending" and not pod.is_leaving and pod.uid in said
        if waits and made is not None and (now - made).total_seconds() >= VOLUME_S:
            return (
                f"pod {pod.name} waits for a volume: {said[pod.uid][:MAX_MESSAGE]}; make what it names in this "
                "namespace, or correct podTemplate or the chart's pods"
            )
    return None
