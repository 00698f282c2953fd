"""For how long something has not changed, by the operator's own clock.

Pods' clocks may be minutes off: what they stamp a sign of life with only tells one sign from the next. Owns what was
seen last of each object; a restart of the operator begins all counts anew. Used by one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from daybreak_operator.shell.watches.keys import ObjectKey


@dataclass
class Silence:
    """Signs of life by object and by the way on which they come."""

    clock: Callable[[], float]
    _seen: dict[ObjectKey, dict[str, tuple[Hashable, float]]] = field(default_factory=dict)

    def seconds(self, key: ObjectKey, way: str, sign: Hashable | None) -> float | None:
        """Return for how long the sign has been this one; None where there is none."""
        known = self._seen.setdefault(key, {})
        if sign is None:
            known.pop(way, None)
            return None
        before = known.get(way)
        if before is None or before[0] != sign:
            known[way] = before = (sign, self.clock())
        return self.clock() - before[1]

    def drop(self, key: ObjectKey) -> None:
        """The object is gone."""
        self._seen.pop(key, None)
