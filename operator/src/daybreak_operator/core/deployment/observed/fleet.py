"""The serving pods as facts: which model, where, whether they answer, since when.

Reads what Kubernetes says of pods and Deployments. Decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from daybreak_contracts import names
from daybreak_operator.core.capacity.values import Held, Pending, Place
from daybreak_operator.core.observed.objects import ObservedDeployment, ObservedObject
from daybreak_operator.core.observed.pods import ObservedPod

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
    """When it was made; of one that answered before, when it stopped; of one that a queue holds, now: no place is to
    blame for it."""
    placed: bool
    refused: bool
    """Whether there is no machine for it in its zone now."""
    leaving: bool
    """Whether it is being deleted, is over, or its node was given notice."""
    verified: bool
    """Whether the model was fetched and its digest was right."""
    observed: ObservedPod
    noticed: bool = False
    """Whether its node was given notice and nobody has deleted it yet."""


@dataclass(frozen=True)
class EngineFleet:
    """All serving pods and their Deployments."""

    pods: tuple[EnginePod, ...]
    deployments: tuple[ObservedDeployment, ...]
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
        return sum(one.replicas for one in self.deployments if one.label(names.LABEL_REVISION) == revision)

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
            if one.label(names.LABEL_REVISION) == names.short(digest):
                yield place_of(one), one.replicas

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
    children: Iterable[ObservedObject], *, reclaimed: Iterable[str], stockouts: Iterable[str], now: float
) -> EngineFleet:
    """Return the fleet; the names are those of pods whose node goes, and of pods that no machine is found for."""
    gone, refused = frozenset(reclaimed), frozenset(stockouts)
    engines = [child for child in children if child.label(names.LABEL_ROLE) == names.ROLE_ENGINE]
    pods = (_pod(child, gone, refused, now) for child in engines if isinstance(child, ObservedPod))
    deployments = (child for child in engines if isinstance(child, ObservedDeployment))
    return EngineFleet(
        pods=tuple(sorted(pods, key=lambda pod: pod.name)),
        deployments=tuple(sorted(deployments, key=lambda one: one.name)),
        at=now,
    )


def _pod(observed: ObservedPod, gone: frozenset[str], refused: frozenset[str], now: float) -> EnginePod:
    ready = next((one for one in observed.conditions if one.type == "Ready"), None)
    answers = ready is not None and ready.status == "True"
    changed = ready.changed.timestamp() if ready is not None and ready.changed is not None else 0.0
    created = observed.metadata.created
    gated = observed.is_gated and not answers
    over = observed.phase in ("Failed", "Succeeded") or observed.is_leaving
    return EnginePod(
        name=observed.name,
        revision=observed.label(names.LABEL_REVISION),
        place=place_of(observed),
        ready_since=changed if answers else None,
        waiting_since=now if gated else max(changed, created.timestamp() if created is not None else 0.0),
        placed=bool(observed.node),
        refused=observed.name in refused,
        leaving=over or observed.name in gone,
        noticed=observed.name in gone and not over,
        verified=answers or _has_fetched(observed),
        observed=observed,
    )


def _has_fetched(pod: ObservedPod) -> bool:
    fetch = next((one for one in pod.containers if one.is_init and one.name == FETCH), None)
    return fetch is not None and fetch.ended is not None and fetch.ended.exit_code == 0


def place_of(child: ObservedObject) -> Place:
    """Return the pool and the zone that an object is for."""
    return child.label(names.LABEL_POOL), child.label(names.LABEL_ZONE)
