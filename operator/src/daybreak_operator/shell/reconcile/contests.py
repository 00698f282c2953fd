"""Fields of our children that somebody else sets again and again: taken back, ever more seldom, and told. Pure.

Two managers that both insist would write for ever, and each turn may end pods. Owns how often a child is taken back and
when a contest is over; ``now`` is monotonic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from daybreak_operator.core.plan import Finding
from daybreak_operator.shell.watches.store import ChildId

AT_ONCE = 3
"""So many times a child is taken back at once: a person's slip, a tool that runs once."""
FIRST_WAIT_S = 15.0
MAX_WAIT_S = 300.0
CALM_S = 60.0
"""Left in peace for so long, or for twice the last wait, a child is contested no more."""


@dataclass
class Contest:
    """One child that was taken back."""

    times: int = 0
    last_at: float = float("-inf")
    said: str = ""
    """The API server's words about whose the fields are."""

    def wait_s(self) -> float:
        """Return how long the next change of another is left as it is."""
        return 0.0 if self.times < AT_ONCE else min(MAX_WAIT_S, FIRST_WAIT_S * 2 ** (self.times - AT_ONCE))

    def over_at(self) -> float:
        """Return when it is over, unless the child is taken back before."""
        return self.last_at + max(CALM_S, 2 * self.wait_s())


@dataclass
class Contests:
    """Those of one object's children."""

    known: dict[ChildId, Contest] = field(default_factory=dict)

    def may_take(self, identity: ChildId, now: float) -> bool:
        """Return whether a child that another has changed is taken back now."""
        held = self.known.get(identity)
        return held is None or now >= held.last_at + held.wait_s()

    def is_open(self, identity: ChildId) -> bool:
        """Return whether a child is changed again and again: whose fields they are is then asked."""
        held = self.known.get(identity)
        return held is not None and held.times >= AT_ONCE

    def taken(self, identity: ChildId, now: float, said: str) -> None:
        """Count that a child was taken back."""
        held = self.known.setdefault(identity, Contest())
        held.times, held.last_at, held.said = held.times + 1, now, said or held.said

    def settle(self, now: float) -> None:
        """Forget those that are over."""
        self.known = {identity: held for identity, held in self.known.items() if now < held.over_at()}

    def next_look_s(self, now: float) -> float | None:
        """Return when a child is due again, or a contest may be over; None where there is none."""
        due = [
            moment - now
            for identity, held in self.known.items()
            if self.is_open(identity)
            for moment in (held.last_at + held.wait_s(), held.over_at())
            if moment > now
        ]
        return min(due, default=None)

    def finding(self) -> Finding | None:
        """Return what is told a person, if a child is contested."""
        said = [
            f"{kind} {name} is changed again and again by another, and set back ever more seldom: {held.said}"
            for (_, kind, _, name), held in self._open()
        ]
        remedy = (
            "let that tool leave the fields alone (Argo CD: ignoreDifferences; Kyverno: an exclude; no autoscaler of "
            "its own for what the operator scales), or say them in this object's spec"
        )
        return Finding("FieldsContested", f"{'; '.join(said)}; {remedy}") if said else None

    def _open(self) -> Iterator[tuple[ChildId, Contest]]:
        yield from ((identity, held) for identity, held in self.known.items() if self.is_open(identity))
