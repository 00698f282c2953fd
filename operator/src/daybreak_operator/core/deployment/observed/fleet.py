"""The serving pods as facts: which model, where, whether they answer, since when.

Reads what Kubernetes says of pods and Deployments. Decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from daybreak_contracts import names
from daybreak_operator.core.capacity.values import Held, Pending, Place
from daybreak_operator.core.conditions import find
from daybreak_operator.core.plan import Object, Ref
from daybreak_operator.core.times import seconds_of

FETCH = "fetch"
"""Name of the container that brings the model and compares its digest."""
ENGINE = "engine"
GATEWAY = "gateway"


@dataclass(frozen=True)
class EnginePod:
    """One serving pod."""

    name: str
    revision: str
    place: Place
    ready_since: float | None
    """None while it does not answer."""
    waiting_since: float
    """When it was made; of one that answered before, when it stopped."""
    placed: bool
    refused: bool
    """Whether there is no machine for it in its zone now."""
    leaving: bool
    """Whether it is being deleted, is over, or its node was given notice."""
    verified: bool
    """Whether the model was fetched and its digest was right."""
    stored: Object
    noticed: bool = False
    """Whether its node was given notice and nobody has deleted it yet."""


@dataclass(frozen=True)
class EngineFleet:
    """All serving pods and their Deployments."""

    pods: tuple[EnginePod, ...]
    deployments: tuple[Object, ...]
    at: float
    """Unix time of this pass."""

    def alive(self, digest: str | None = None) -> list[EnginePod]:
        """Return the pods that stay, of one model or of all."""
        revision = None if digest is None else names.short(digest)
        return [pod for pod in self.pods if not pod.leaving and revision in (None, pod.revision)]

    def ready(self, digest: str) -> int:
        """Return how many replicas of a model answer."""
        return sum(1 for pod in self.alive(digest) if pod.ready_since is not None)

    def last(self, digest: str) -> list[EnginePod]:
        """Return the pods that answer although their nodes go, while no other replica of the model does."""
        if self.ready(digest):
            return []
        revision = names.short(digest)
        return [
            pod
            for pod in self.pods
            if pod.noticed and pod.revision == revision and pod.ready_since is not None
        ]

    def verified(self, digest: str) -> bool:
        """Return whether a pod of a model has fetched it and found its digest right."""
        return any(pod.verified for pod in self.alive(digest))

    def wanted(self, digest: str) -> int:
        """Return the replicas that a model's Deployments ask for now."""
        revision = names.short(digest)
        return sum(
            replicas_of(one) for one in self.deployments if label(one, names.LABEL_REVISION) == revision
        )

    def held(self, digest: str) -> tuple[Held, ...]:
        """Return what a model has in each place: as much as its Deployment asks for, whatever pods are still there.

        Includes replicas that have no pod yet.
        """
        places: dict[Place, list[EnginePod]] = {}
        for pod in self.alive(digest):
            places.setdefault(pod.place, []).append(pod)
        asked = dict(self._asked(digest))
        noticed = Counter(
            pod.place for pod in self.pods if pod.noticed and pod.revision == names.short(digest)
        )
        return tuple(
            self._held_in(place, places.get(place, []), asked.get(place, 0), noticed[place])
            for place in sorted({*places, *asked})
        )

    def _asked(self, digest: str) -> Iterator[tuple[Place, int]]:
        for one in self.deployments:
            if label(one, names.LABEL_REVISION) == names.short(digest):
                yield place_of(one), replicas_of(one)

    def _held_in(self, place: Place, pods: list[EnginePod], asked: int, noticed: int) -> Held:
        # Beyond what is asked for they are about to go: counted, they would be asked for again.
        kept = sorted(pods, key=_as_replica_sets_keep)[:asked]
        pending = [
            Pending(since=pod.waiting_since, placed=pod.placed, refused=pod.refused)
            for pod in kept
            if pod.ready_since is None
        ]
        # A replica without a pod was asked for a moment ago, or is refused by a quota, which no other zone mends.
        # One whose node was given notice still has its pod: nobody asked for another there.
        pending += [Pending(since=self.at)] * max(0, asked - len(kept) - noticed)
        ready = sorted(pod.ready_since for pod in kept if pod.ready_since is not None)
        return Held(*place, ready=tuple(ready), pending=tuple(sorted(pending, key=lambda one: one.since)))


def _as_replica_sets_keep(pod: EnginePod) -> tuple[bool, bool, float]:
    """Return what sorts pods by how long a ReplicaSet that asks for fewer keeps them: the longest first."""
    return pod.ready_since is None, not pod.placed, pod.ready_since or pod.waiting_since


def fleet_of(
    children: Iterable[Object], *, reclaimed: Iterable[str], stockouts: Iterable[str], now: float
) -> EngineFleet:
    """Return the fleet; the names are those of pods whose node goes, and of pods that no machine is found for."""
    gone, refused = frozenset(reclaimed), frozenset(stockouts)
    engines = [child for child in children if label(child, names.LABEL_ROLE) == names.ROLE_ENGINE]
    pods = (_pod(child, gone, refused) for child in engines if child["kind"] == "Pod")
    deployments = (child for child in engines if child["kind"] == "Deployment")
    return EngineFleet(
        pods=tuple(sorted(pods, key=lambda pod: pod.name)),
        deployments=tuple(sorted(deployments, key=name_of)),
        at=now,
    )


def _pod(stored: Object, gone: frozenset[str], refused: frozenset[str]) -> EnginePod:
    metadata, status = stored["metadata"], stored.get("status") or {}
    ready = find(status.get("conditions") or (), "Ready")
    answers = ready is not None and ready["status"] == "True"
    changed = seconds_of(ready.get("lastTransitionTime")) if ready is not None else 0.0
    over = status.get("phase") in ("Failed", "Succeeded") or bool(metadata.get("deletionTimestamp"))
    name = metadata["name"]
    return EnginePod(
        name=name,
        revision=label(stored, names.LABEL_REVISION),
        place=place_of(stored),
        ready_since=changed if answers else None,
        waiting_since=max(changed, seconds_of(metadata.get("creationTimestamp"))),
        placed=bool((stored.get("spec") or {}).get("nodeName")),
        refused=name in refused,
        leaving=over or name in gone,
        noticed=name in gone and not over,
        verified=answers or _fetched(status),
        stored=stored,
    )


def _fetched(status: Mapping[str, Any]) -> bool:
    for container in status.get("initContainerStatuses") or ():
        if container["name"] == FETCH:
            ended = (container.get("state") or {}).get("terminated") or {}
            return bool(ended) and ended.get("exitCode") == 0
    return False


def label(stored: Object, name: str) -> str:
    """Return a label of an object; empty when it has none."""
    return str((stored["metadata"].get("labels") or {}).get(name, ""))


def place_of(stored: Object) -> Place:
    """Return the pool and the zone that an object is for."""
    return label(stored, names.LABEL_POOL), label(stored, names.LABEL_ZONE)


def name_of(stored: Object) -> str:
    """Return an object's name."""
    return str(stored["metadata"]["name"])


def replicas_of(stored: Object) -> int:
    """Return the replicas that a Deployment asks for."""
    replicas = (stored.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def ref_of(stored: Object) -> Ref:
    """Return what names a stored object for deletion."""
    metadata = stored["metadata"]
    return Ref(
        api_version=stored["apiVersion"],
        kind=stored["kind"],
        namespace=metadata.get("namespace", "default"),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
    )
