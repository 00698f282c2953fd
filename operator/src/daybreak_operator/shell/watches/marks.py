"""Pods whose labels somebody took off or changed: the watch goes by them, so such a pod looks as if it were gone.

Owns noticing it, and not oftener than is good: who takes them off again at once wins. Other children are applied anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from daybreak_contracts import names
from daybreak_operator.core.parts import part
from daybreak_operator.core.plan import Object

OURS = f"{names.GROUP}/"
AGAIN_S = 60.0


def taken_off(before: Object | None, body: Object, *, is_gone: bool) -> dict[str, str]:
    """Return the labels to put back on a pod, as it was and as an event says that it is.

    A pod that is deleted says so by its time of deletion, but for one that has no node or is over: those may go.
    """
    if before is None or before["metadata"]["uid"] != body["metadata"]["uid"]:
        return {}
    if any("deletionTimestamp" in one["metadata"] for one in (before, body)):
        return {}
    if is_gone and part(body, "status").get("phase") != "Running":
        return {}
    had, has = _ours(before), {} if is_gone else _ours(body)
    return {name: value for name, value in had.items() if has.get(name) != value}


def _ours(body: Object) -> dict[str, str]:
    labels = part(body["metadata"], "labels")
    return {name: str(value) for name, value in labels.items() if name.startswith(OURS)}


@dataclass
class Marks:
    """When labels were put back on which pod."""

    clock: Callable[[], float]
    _put: dict[str, float] = field(default_factory=dict)

    def may_put(self, uid: str) -> bool:
        """Return whether they were not put back just now, and remember that they are."""
        now = self.clock()
        self._put = {one: at for one, at in self._put.items() if now - at < AGAIN_S}
        return self._put.setdefault(uid, now) == now
