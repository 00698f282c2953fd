"""What a pod's status says: ready, failed and how, taken from its node, taken away. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from daybreak_operator.core.plan import Object
from daybreak_operator.core.training.observed import objects

DISRUPTED = "DisruptionTarget"
MAX_SAID = 600


@dataclass(frozen=True)
class ContainerFailure:
    """One container that left with another code than 0."""

    pod: str
    exit_code: int
    finished: str
    said: str

    @property
    def sentence(self) -> str:
        """The failure in words."""
        said = f": {self.said}" if self.said else ""
        return f"pod {self.pod} exited with code {self.exit_code}{said}"


def container_failures(pods: Iterable[Object]) -> list[ContainerFailure]:
    """Return the containers that failed, the first one first."""
    found = [
        ContainerFailure(
            objects.name(pod),
            int(ended["exitCode"]),
            str(ended.get("finishedAt") or ""),
            _said(ended),
        )
        for pod in pods
        for ended in _terminated(pod)
        if ended.get("exitCode")
    ]
    return sorted(found, key=lambda failure: (failure.finished, failure.pod))


def finished_at(pod: Object) -> str:
    """Return when a pod's last container ended (RFC 3339); empty when none says so."""
    return max((str(ended.get("finishedAt") or "") for ended in _terminated(pod)), default="")


def is_disrupted(pod: Object) -> bool:
    """Return whether the cluster takes a pod from its node: preemption, eviction, a node that went."""
    return objects.condition(pod, DISRUPTED) is not None


def conditions_held(pod: Object) -> set[str]:
    """Return the types of a pod's conditions that are True."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return {str(item.get("type")) for item in conditions if item.get("status") == "True"}


def phase(pod: Object) -> str:
    """Return a pod's phase."""
    return str((pod.get("status") or {}).get("phase", ""))


def is_up(pod: Object) -> bool:
    """Return whether a pod runs and is ready, or has already done its work."""
    return phase(pod) == "Succeeded" or (phase(pod) == "Running" and "Ready" in conditions_held(pod))


def why_unscheduled(pod: Object) -> str:
    """Return what the scheduler says of a pod that no node takes; empty when it is scheduled."""
    for item in (pod.get("status") or {}).get("conditions") or ():
        if item.get("type") == "PodScheduled" and item.get("status") == "False":
            return str(item.get("message") or item.get("reason") or "it is not scheduled")
    return ""


def _terminated(pod: Object) -> Iterable[Any]:
    status = pod.get("status") or {}
    for key in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(key) or ():
            ended = (container.get("state") or {}).get("terminated")
            if ended:
                yield ended


def _said(ended: Any) -> str:
    """Return the last line of a termination message, or its reason (OOMKilled and the like)."""
    lines = str(ended.get("message") or "").strip().splitlines()
    reason = str(ended.get("reason") or "")
    said = lines[-1].strip()[:MAX_SAID] if lines else ""
    return said or (reason if reason != "Error" else "")
