"""One object in the cache: small, and with what is asked of it at every event beside its text.

Owns what is kept of an object. Which ones are kept, and whom they concern, ``store`` says.
"""

from __future__ import annotations

import json

from daybreak_contracts import names
from daybreak_operator.core.deployment.observed.peers import peer_of
from daybreak_operator.core.plan import Object
from daybreak_operator.core.training.observed.neighbours import neighbour_of, place_of
from daybreak_operator.shell.watches.keys import Body, ObjectKey, Priority, lean, version_of

DEFAULT_INTERVAL_S = 5.0
"""``scaling.intervalSeconds`` where it is not given, as the API has it."""


def key_of(body: Object) -> ObjectKey:
    """Return the key of one of our own kinds."""
    return ObjectKey(body["kind"], body["metadata"]["namespace"], body["metadata"]["name"])


def priority_of(body: Object) -> Priority:
    """Return how soon one of our own objects is to be seen when an event about it came."""
    metadata, status = body["metadata"], body.get("status")
    if not status:
        return Priority.NEW
    is_answered = status.get("observedGeneration") == metadata.get("generation")
    return Priority.EVENT if is_answered and "deletionTimestamp" not in metadata else Priority.CHANGED


def tells(body: Object) -> int:
    """Return a hash of what followers of an object read: what it asks for, its model and verdict; not its progress.

    ``core.deployment.target.target_of`` is the reader.
    """
    status = body.get("status") or {}
    conditions = [c for c in status.get("conditions") or () if isinstance(c, dict)]
    verdicts = [c for c in conditions if c.get("type") in ("Finished", "Succeeded")]
    read = [body["metadata"].get("generation"), status.get("model"), verdicts]
    return hash(json.dumps(read, sort_keys=True, default=str))


class Kept:
    """An object in the cache: a pod as it is, all else as JSON text, an eighth of the memory."""

    __slots__ = ("_body", "_text", "uid", "version")

    def __init__(self, body: Body) -> None:
        self.uid: str = body["metadata"]["uid"]
        self.version = version_of(body)
        small = lean(body)
        is_pod = body["kind"] == "Pod"
        self._body = small if is_pod else None
        self._text = "" if is_pod else json.dumps(small, separators=(",", ":"))

    @property
    def body(self) -> Body:
        """The object."""
        if self._body is not None:
            return self._body
        body: Body = json.loads(self._text)
        return body

    def is_older(self, body: Body) -> bool:
        """Return whether the other one is news."""
        return self.uid != body["metadata"]["uid"] or version_of(body) > self.version


class Own(Kept):
    """One of our own objects, with what is asked of it at every event: its text need not be read for that."""

    __slots__ = ("every_s", "followed", "neighbour", "output", "peer", "priority", "tells")

    def __init__(self, body: Body) -> None:
        super().__init__(body)
        self.priority = priority_of(body)
        scaling = (body.get("spec") or {}).get("scaling") or {}
        self.every_s = float(scaling.get("intervalSeconds") or DEFAULT_INTERVAL_S)
        if scaling.get("scaleToZeroSeconds"):  # who waits for the first replica waits for the reading, too
            self.every_s = min(self.every_s, DEFAULT_INTERVAL_S)
        self.followed = followed_of(body)
        self.output = place_of(body) if body["kind"] == names.KIND_RUN else ""
        self.peer = peer_of(body) if body["kind"] == names.KIND_DEPLOYMENT else None
        self.tells = tells(body)
        self.neighbour = neighbour_of(body) if self.output else None


def followed_of(body: Object) -> ObjectKey | None:
    """Return the TrainingRun that a ModelDeployment names."""
    if body["kind"] != names.KIND_DEPLOYMENT:
        return None
    run = body.get("spec", {}).get("model", {}).get("trainingRunRef", {}).get("name")
    return None if run is None else ObjectKey(names.KIND_RUN, body["metadata"]["namespace"], run)
