"""A pod as decisions read it: phase, conditions, and what its containers say. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from daybreak_operator.core.observed.objects import (
    ObservedCondition,
    ObservedObject,
    held_true,
)
from daybreak_operator.core.times import instant

DISRUPTED = "DisruptionTarget"
"""Condition of a pod that the cluster takes from its node: preemption, eviction, a node that went."""
GATED = "SchedulingGated"
"""Reason of ``PodScheduled`` while a pod has scheduling gates."""
TAKEN_BY_NODE = frozenset(
    {"Terminated", "Shutdown", "NodeShutdown", "NodeLost", "NodeAffinity", "MatchNodeSelector", "Preempting"}
)
"""Reasons of a failed pod that say that its node ended or rejected it, where no condition does: a node that is shut
down (Kubernetes 1.34, pkg/kubelet/nodeshutdown), one without its labels yet, room for a critical pod.
"""
OUT_OF = "OutOf"
"""How the reason begins where a node had less left than the scheduler thought: OutOfcpu, OutOfpods."""
WORK = frozenset({"pytorch", "pipeline"})
"""Containers that do a run's work; whatever else is in a pod of that kind, others put there (a mesh, a log shipper)."""
IMAGE_REASONS = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""Why a container waits for its image (Kubernetes 1.34, pkg/kubelet/images)."""
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
START_REASONS = frozenset(
    {
        "RunContainerError",
        "CreatePodSandboxError",
        "ConfigPodSandboxError",
        "PreCreateHookError",
        "PreStartHookError",
        "PostStartHookError",
    }
)
"""Why a container does not begin although all that it names is there (pkg/kubelet/container, kuberuntime)."""

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

    @property
    def for_start(self) -> bool:
        """Return whether its node cannot begin it: a program that is not in the image, a driver, a runtime."""
        return self.reason in START_REASONS

    @property
    def remedy(self) -> str:
        """Return what a person can do where it cannot be made or begun."""
        if self.for_config:
            return "make what it names in this namespace, or take it out of podTemplate"
        return "correct its image or podTemplate, or look at its node (container runtime, drivers)"


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
    scheduler: str = ""
    """Who is to find it a node; the API server always says it."""

    @property
    def conditions_held(self) -> frozenset[str]:
        """Return the types of its conditions that are True; that it was disrupted may be said by its reason alone."""
        held = frozenset(one.type for one in self.conditions if one.status == "True")
        return held | {DISRUPTED} if self._was_taken_by_its_node else held

    @property
    def is_disrupted(self) -> bool:
        """Return whether the cluster takes it from its node."""
        return DISRUPTED in self.conditions_held

    @property
    def _was_taken_by_its_node(self) -> bool:
        return self.phase == "Failed" and (self.reason in TAKEN_BY_NODE or self.reason.startswith(OUT_OF))

    @property
    def why_disrupted(self) -> str:
        """Return what is said of why it was taken from its node."""
        held = held_true(self.conditions, DISRUPTED)
        return self.why_ended or (held.message or held.reason if held is not None else "")

    @property
    def work(self) -> ObservedContainer | None:
        """Return the container that does a run's work."""
        return next((one for one in self.containers if one.name in WORK and not one.is_init), None)

    @property
    def did_well(self) -> bool:
        """Return whether its work ended well, however sidecars beside it ended or run on."""
        work = self.work
        return self.phase == "Succeeded" or (
            work is not None and work.ended is not None and work.ended.exit_code == 0
        )

    @property
    def is_unseen(self) -> bool:
        """Return whether no scheduler has looked at it: one that finds no node says so, or that it waits."""
        told = any(one.type == "PodScheduled" for one in self.conditions)
        return self.phase == "Pending" and not self.node and not told and bool(self.scheduler)

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
        evicted = KUBELETS_REMEDIES if self.reason == "Evicted" else ()
        remedy = next((words for found, words in evicted if found in self.message), "")
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
    container: str = ""
    """Its name, where it is not the one that does the work."""

    @property
    def sentence(self) -> str:
        """The failure in words."""
        why = f": {self.message}" if self.message else ""
        who = f"container {self.container} of pod {self.pod}" if self.container else f"pod {self.pod}"
        return f"{who} exited with code {self.exit_code}{why}"


MAX_MESSAGE = 600
OUT_OF_MEMORY = "OOMKilled"
MORE_MEMORY = "raise its memory in podTemplate (resources), or make the work smaller"


def container_failures(pods: Iterable[ObservedPod]) -> list[ContainerFailure]:
    """Return the containers that failed, the first one first.

    How a sidecar ends says nothing of the work: it is killed when that is done. What others put before the work (the
    first containers of a mesh) counts where the pod ended and the work never began.
    """
    found = [
        ContainerFailure(
            pod.name,
            one.ended.exit_code,
            one.ended.finished,
            pod.why_ended or explained(one.ended),
            "" if one.name in (*WORK, *MAIN) else one.name,
        )
        for pod in pods
        for one in _that_count(pod)
        if one.ended is not None and one.ended.exit_code
    ]
    return sorted(found, key=lambda failure: (failure.finished, failure.pod))


MAIN = ("main", "")
"""What Argo calls the container with a step of Kubeflow's; a pod that it makes ends with what stands beside it, too."""


def _that_count(pod: ObservedPod) -> tuple[ObservedContainer, ...]:
    """Return the containers of a pod whose end is that of its work."""
    work = pod.work
    if pod.did_well:
        return ()
    if work is not None and (work.ended is not None or pod.phase != "Failed"):
        return (work,)
    return pod.containers


def explained(ended: Termination) -> str:
    """Return why a container ended: want of memory first, else the last line that it left, else its reason.

    The kernel's word stands before the log's: a log ends where its program was killed, in the middle of good news.
    """
    if ended.reason == OUT_OF_MEMORY:
        said = f" (its last words: {ended.last_line[:MAX_MESSAGE]})" if ended.last_line else ""
        return f"{OUT_OF_MEMORY}: it took more memory than its limit or its node has; {MORE_MEMORY}{said}"
    return ended.last_line[:MAX_MESSAGE] or (ended.reason if ended.reason != "Error" else "")
