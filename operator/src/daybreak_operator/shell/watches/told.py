"""What events said of objects: the newest of each reason, about the objects of which was spoken last.

Owns remembering and forgetting; whom an event concerns is the store's affair.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from daybreak_operator.core.plan import Object
from daybreak_operator.shell.watches.keys import Body, lean, version_of

MAX_TOLD = 5000
"""Objects about which events are kept, the newest."""
KINDS_BY_NAME = ("Job", "JobSet")
"""What Kubeflow Trainer and JobSet make for a TrainJob, without our labels."""


class Told:
    """Events by the uid of what they are about, and by its name where we are not told of the object itself."""

    def __init__(self) -> None:
        self._by_uid: OrderedDict[str, dict[str, Body]] = OrderedDict()
        self._uid_of_name: dict[tuple[str, str, str], str] = {}

    def put(self, body: Body) -> bool:
        """Take in an event; return whether it is news."""
        about = body.get("involvedObject") or {}
        uid, reason = str(about.get("uid", "")), body.get("reason", "")
        told = self._by_uid.setdefault(uid, {})
        self._by_uid.move_to_end(uid)
        known = told.get(reason)
        if known is not None and version_of(body) <= version_of(known):
            return False
        told[reason] = lean(body)
        if about.get("kind") in KINDS_BY_NAME:
            self._uid_of_name[_name_of(about)] = uid
        while len(self._by_uid) > MAX_TOLD:
            self._forget_oldest()
        return True

    def drop(self, body: Body) -> None:
        """An event ran out."""
        told = self._by_uid.get(str((body.get("involvedObject") or {}).get("uid", "")), {})
        kept = told.get(body.get("reason", ""))
        if kept is not None and kept["metadata"]["uid"] == body["metadata"]["uid"]:
            del told[body.get("reason", "")]

    def of(self, uid: str) -> Mapping[str, Body]:
        """Return the newest event of each reason about an object."""
        return self._by_uid.get(uid, {})

    def of_name(self, kind: str, namespace: str, name: str) -> Mapping[str, Body]:
        """Return the same of an object by its name: no child of ours, but made for one by that one's controller."""
        return self.of(self._uid_of_name.get((kind, namespace, name), ""))

    def _forget_oldest(self) -> None:
        uid, told = self._by_uid.popitem(last=False)
        for event in told.values():
            name = _name_of(event["involvedObject"])
            if self._uid_of_name.get(name) == uid:
                del self._uid_of_name[name]


def _name_of(about: Object) -> tuple[str, str, str]:
    return str(about.get("kind", "")), str(about.get("namespace", "")), str(about.get("name", ""))
