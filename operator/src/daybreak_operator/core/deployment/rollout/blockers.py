"""What pods say of themselves that waiting does not mend, as sentences with a remedy.

Owns how a container's state is read. What follows from it is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from daybreak_contracts.errors import EXIT_USER
from daybreak_operator.core.deployment.observed.fleet import ENGINE, FETCH
from daybreak_operator.core.plan import Finding, Object

IMAGE_REASONS = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
CONFIG_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError"})
CRASHES = 5
"""Restarts of an engine that never answered: with the kubelet's doubling back-off from ten seconds, about five
minutes."""
MAX_CHARACTERS = 1000


def refusal_of(pods: Iterable[Object]) -> str | None:
    """Return why a model must not serve: what its first container or its engine said when it left with 2."""
    for pod in pods:
        for container in _containers(pod):
            if container["name"] not in (FETCH, ENGINE):
                continue
            for ended in _ends(container):
                if ended.get("exitCode") == EXIT_USER:
                    return (
                        last_line(ended)
                        or f"container {container['name']} left with {EXIT_USER} and said nothing"
                    )
    return None


def crash_of(pods: Iterable[Object]) -> str | None:
    """Return what an engine last said that was started again and again and never answered."""
    for pod in pods:
        for container in _containers(pod):
            if (
                container["name"] != ENGINE
                or container.get("ready")
                or container.get("restartCount", 0) < CRASHES
            ):
                continue
            ended: Mapping[str, Any] = next(_ends(container), {})
            said = (
                last_line(ended)
                or f"it left with {ended.get('exitCode', 'an unknown code')} and said nothing"
            )
            return f"the engine ended {CRASHES} times and never answered: {said}"
    return None


def blocked(pods: Iterable[Object]) -> Finding | None:
    """Return why containers cannot even start, the first such reason by the pods' names."""
    for pod in sorted(pods, key=lambda one: str(one["metadata"]["name"])):
        for container in _containers(pod):
            waiting = (container.get("state") or {}).get("waiting") or {}
            reason = waiting.get("reason", "")
            if reason in IMAGE_REASONS:
                return Finding("ImagePullFailed", _image_sentence(container))
            if reason in CONFIG_REASONS:
                said = str(waiting.get("message") or reason)[:MAX_CHARACTERS]
                return Finding("ContainerCannotStart", f"container {container['name']} cannot start: {said}")
    return None


def _image_sentence(container: Mapping[str, Any]) -> str:
    return (
        f"image {container.get('image') or '(unknown)'} of container {container['name']} cannot be pulled: "
        "correct its name, push it, or give the service account a pull secret"
    )


def _containers(pod: Object) -> Iterator[Mapping[str, Any]]:
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _ends(container: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for state in (container.get("state"), container.get("lastState")):
        ended = (state or {}).get("terminated")
        if ended:
            yield ended


def last_line(ended: Mapping[str, Any]) -> str:
    """Return the last line that a container left as its termination message."""
    lines = str(ended.get("message") or "").strip().splitlines()
    return lines[-1].strip()[:MAX_CHARACTERS] if lines else ""
