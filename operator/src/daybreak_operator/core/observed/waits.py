"""What pods wait for that only events, or nobody, tell of: a volume, a sandbox, a scheduler. As findings with a remedy.

Owns how long each may take before a person is to look.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from daybreak_operator.core.observed.objects import ObservedWarning
from daybreak_operator.core.observed.pods import MAX_MESSAGE, ObservedPod
from daybreak_operator.core.plan import Finding

VOLUME_S = 60.0
"""A volume that is attached, or a ConfigMap that a kubelet does not know yet, may fail a few times before it comes."""
SANDBOX_S = 180.0
"""A network plug-in or the GPU operator's runtime may come to a new node minutes after the first pods."""
SCHEDULER_S = 600.0
"""As long as a pod may wait for a node before a person is to look."""
SANDBOX_FAILS = "Failed to create pod sandbox"
"""How the kubelet's event begins (Kubernetes 1.34, pkg/kubelet/kuberuntime)."""
PAST_BOTH = "PodReadyToStartContainers"
"""Condition of a pod that has its volumes and its sandbox: what an event told before is over."""


def what_does_not_come(
    pods: Iterable[ObservedPod], warnings: Iterable[ObservedWarning], now: datetime
) -> Finding | None:
    """Return what the first pod that has waited for a while waits for; None where none does."""
    said = {warning.about_uid: warning.message for warning in warnings}
    for pod in sorted(pods, key=lambda one: one.name):
        made = pod.metadata.created
        if pod.phase != "Pending" or pod.is_leaving or made is None:
            continue
        waited, message = (now - made).total_seconds(), said.get(pod.uid, "")
        found = _told(pod, message, waited) if message else _unseen(pod, waited)
        if found is not None:
            return found
    return None


def _told(pod: ObservedPod, message: str, waited: float) -> Finding | None:
    if PAST_BOTH in pod.conditions_held:
        return None
    words = message[:MAX_MESSAGE]
    if message.startswith(SANDBOX_FAILS):
        remedy = (
            "see to its node (network plug-in, GPU operator), or correct runtimeClassName in podTemplate or the "
            "chart's pods"
        )
        return (
            Finding("SandboxDoesNotCome", f"pod {pod.name} cannot begin: {words}; {remedy}")
            if waited >= SANDBOX_S
            else None
        )
    remedy = "make what it names in this namespace, or correct podTemplate or the chart's pods"
    return (
        Finding("VolumeDoesNotCome", f"pod {pod.name} waits for a volume: {words}; {remedy}")
        if waited >= VOLUME_S
        else None
    )


def _unseen(pod: ObservedPod, waited: float) -> Finding | None:
    """A scheduler says of a pod that it found no node; one that is not there says nothing."""
    if not pod.is_unseen or waited < SCHEDULER_S:
        return None
    return Finding(
        "SchedulerAbsent",
        f"scheduler {pod.scheduler} has not looked at pod {pod.name} for {SCHEDULER_S / 60:.0f} minutes: start it, or "
        "correct schedulerName in podTemplate",
    )
