"""Who keeps a spare of a process: the one that waits, the one that took over, and their gates.

Owns their order: an open gate lives as long as the process behind it. What a spare is and does is `standby`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from daybreak_serve.process import Child
from daybreak_serve.standby import StandbyGate


@dataclass(frozen=True)
class Spare:
    """A process that waits at its gate."""

    child: Child
    gate: StandbyGate
    prefix: str = ""
    """Of its shared memory, where it has some."""


class SpareKeeper:
    """The spare of a process, and the open gate of the one that took over last."""

    def __init__(self, forget: Callable[[Spare], None] = lambda spare: None) -> None:
        """``forget`` removes what a spare leaves that ends unused."""
        self.spare: Spare | None = None
        self._forget = forget
        self._gate: StandbyGate | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is a spare that lives."""
        return self.spare is not None and self.spare.child.exit_code is None

    def take(self) -> Spare | None:
        """Return the spare, whose gate the caller opens, for it takes over; None where none lives."""
        self._close_gate()
        if not self.is_ready:
            self.drop()
            return None
        taken, self.spare = self.spare, None
        self._gate = taken.gate if taken is not None else None
        return taken

    def drop(self) -> None:
        """End the spare unused."""
        spare, self.spare = self.spare, None
        if spare is not None:
            spare.child.kill()
            spare.gate.close()
            self._forget(spare)

    def close(self) -> None:
        """End the spare, and the gate of the one that took over."""
        self.drop()
        self._close_gate()

    def _close_gate(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.close()
