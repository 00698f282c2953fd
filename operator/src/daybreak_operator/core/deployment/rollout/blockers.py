"""What pods say of themselves that waiting does not mend, as sentences with a remedy.

Owns how a container's state is read. What follows from it is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from daybreak_contracts.errors import EXIT_USER
from daybreak_operator.core.deployment.observed.fleet import ENGINE, FETCH, GATEWAY
from daybreak_operator.core.observed.pods import ObservedContainer, ObservedPod, Termination, explained
from daybreak_operator.core.plan import Finding

CRASHES = 5
"""Restarts of an engine that never answered: with the kubelet's doubling back-off from ten seconds, about five
minutes."""
CRASH_LOOP = "CrashLoopBackOff"
MAX_CHARACTERS = 1000


def refusal_of(pods: Iterable[ObservedPod]) -> str | None:
    """Return why a model must not serve: what its first container or its engine said when it left with 2."""
    for _, container in _containers(pods):
        if container.name not in (FETCH, ENGINE):
            continue
        for ended in container.ends:
            if ended.exit_code == EXIT_USER:
                return (
                    message_of(ended) or f"container {container.name} left with {EXIT_USER} and said nothing"
                )
    return None


def crash_of(pods: Iterable[ObservedPod]) -> str | None:
    """Return what an engine last said that was started again and again and never answered."""
    for _, container in _containers(pods):
        if container.name != ENGINE or container.is_ready or container.restarts < CRASHES:
            continue
        ended = next(iter(container.ends), None)
        code = ended.exit_code if ended is not None else None
        said = explained(ended)[:MAX_CHARACTERS] if ended is not None else ""
        said = said or f"it left with {'an unknown code' if code is None else code} and said nothing"
        return f"the engine ended {CRASHES} times and never answered: {said}"
    return None


def gateway_crash_of(pods: Iterable[ObservedPod]) -> str | None:
    """Return what a gateway last said that its kubelet starts again and again: a key or an issuer it cannot read."""
    for pod, container in _containers(sorted(pods, key=lambda pod: pod.name)):
        waits = container.waiting is not None and container.waiting.reason == CRASH_LOOP
        if container.name != GATEWAY or not waits or container.restarts < CRASHES:
            continue
        said = explained(container.ends[0])[:MAX_CHARACTERS] if container.ends else ""
        return f"gateway pod {pod.name} ended {container.restarts} times: {said or 'it said nothing'}"
    return None


def fetch_fails(pods: Iterable[ObservedPod]) -> Finding | None:
    """Storage gives a model to no replica: wrong keys, no such bucket, no way there. It tries again for ever."""
    for _, container in _containers(sorted(pods, key=lambda pod: pod.name)):
        if container.name != FETCH or container.restarts < CRASHES or not container.ends:
            continue
        ended = container.ends[0]
        if ended.exit_code in (0, EXIT_USER):
            continue
        said = explained(ended)[:MAX_CHARACTERS] or f"it left with {ended.exit_code} and said nothing"
        remedy = (
            "look whether storage is up, its Secret and account are right and pods reach it (docs/network.md)"
        )
        return Finding(
            "ModelNotFetched", f"the model could not be fetched {container.restarts} times: {said}; {remedy}"
        )
    return None


def containers_cannot_start(pods: Iterable[ObservedPod]) -> Finding | None:
    """An image cannot be pulled or a container cannot be made: the first such reason by the pods' names."""
    for _, container in _containers(sorted(pods, key=lambda pod: pod.name)):
        waiting = container.waiting
        if waiting is None:
            continue
        why = (waiting.message or waiting.reason)[:MAX_CHARACTERS]
        if waiting.for_image:
            return Finding("ImagePullFailed", f"{_image_sentence(container)} (the node says: {why})")
        if waiting.for_config or waiting.for_start:
            text = f"container {container.name} cannot start: {why}; {waiting.remedy}"
            return Finding("ContainerCannotStart", text)
    return None


def _image_sentence(container: ObservedContainer) -> str:
    return (
        f"image {container.image or '(unknown)'} of container {container.name} cannot be pulled: "
        "correct its name, push it, or give the service account a pull secret"
    )


def _containers(pods: Iterable[ObservedPod]) -> Iterator[tuple[ObservedPod, ObservedContainer]]:
    for pod in pods:
        for container in pod.containers:
            yield pod, container


def message_of(ended: Termination) -> str:
    """Return the last line that a container left as its termination message."""
    return ended.last_line[:MAX_CHARACTERS]
