"""Children of both kinds as decisions read them: frozen values, without a raw mapping left to search.

Owns what a decision may know of an object and the questions that both kinds ask of it; ``parse`` owns the reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from daybreak_contracts import names
from daybreak_operator.core.plan import Ref

ENDED = ("Complete", "Succeeded", "Failed")
"""Conditions of a job, of whatever kind, that runs no more."""


@dataclass(frozen=True)
class ObjectMetadata:
    """Who an object is and whose."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    """Empty before it is stored."""
    labels: Mapping[str, str]
    created: datetime | None
    is_leaving: bool
    """Whether it is being deleted."""
    gone_by: datetime | None
    """When it will be gone, where it is being deleted: a pod's time to end is counted in."""
    owner_uids: frozenset[str]


@dataclass(frozen=True)
class ObservedCondition:
    """One condition in an object's status."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    changed: datetime | None = None
    """Its last transition."""


@dataclass(frozen=True)
class ObservedObject:
    """An object of which only its metadata matters."""

    metadata: ObjectMetadata

    @property
    def kind(self) -> str:
        """Return its kind."""
        return self.metadata.kind

    @property
    def name(self) -> str:
        """Return its name."""
        return self.metadata.name

    @property
    def uid(self) -> str:
        """Return its uid."""
        return self.metadata.uid

    @property
    def is_leaving(self) -> bool:
        """Return whether it is being deleted."""
        return self.metadata.is_leaving

    @property
    def attempt(self) -> int:
        """Return the attempt that it belongs to; 0 when it says none."""
        text = self.label(names.LABEL_ATTEMPT)
        return int(text) if text.isdecimal() else 0

    @property
    def ref(self) -> Ref:
        """Return what deletes exactly this object."""
        own = self.metadata
        return Ref(own.api_version, own.kind, own.namespace, own.name, own.uid)

    def label(self, key: str) -> str:
        """Return a label's value; empty when it is absent."""
        return self.metadata.labels.get(key, "")


@dataclass(frozen=True)
class ObservedConfigMap(ObservedObject):
    """A ConfigMap with its text."""

    data: Mapping[str, str]


@dataclass(frozen=True)
class ObservedJob(ObservedObject):
    """A Job or a PyTorchJob: whatever a controller makes pods for."""

    conditions: tuple[ObservedCondition, ...]
    is_queued: bool
    """Whether a queue holds it back: its pods are gone by the queue's will, and come again by it."""
    managed_by: str = ""
    """Who looks after it, where it says so: another controller than its own, and maybe another cluster."""

    @property
    def has_ended(self) -> bool:
        """Return whether it runs no more, whatever came of it."""
        return any(held_true(self.conditions, kind) for kind in ENDED)

    @property
    def ended(self) -> datetime | None:
        """Return when it ended."""
        held = [found for kind in ENDED if (found := held_true(self.conditions, kind)) is not None]
        return held[0].changed if held else None


@dataclass(frozen=True)
class ObservedDeployment(ObservedObject):
    """A Deployment (``apps/v1``)."""

    replicas: int
    """As its spec asks."""
    ready_replicas: int
    conditions: tuple[ObservedCondition, ...]
    image: str = ""
    """Of its first container."""
    stale_replicas: int = 0
    """Pods of an earlier template that are still there."""


@dataclass(frozen=True)
class ObservedWarning:
    """A Warning event about another object."""

    about_uid: str
    message: str


def held_true(conditions: Iterable[ObservedCondition], kind: str) -> ObservedCondition | None:
    """Return the condition of a type when its status is True, else None."""
    return next((one for one in conditions if one.type == kind and one.status == "True"), None)
