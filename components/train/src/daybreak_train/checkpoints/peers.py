"""What the processes of one training say to each other about a checkpoint.

Owns a process group of its own on the CPU, so that threads which write can speak while the training's collectives run.
"""

from __future__ import annotations

import datetime
from typing import Any, Protocol

from torch import distributed as dist

from daybreak_train.checkpoints.parts import Part

PATIENCE = datetime.timedelta(hours=1)
"""How long one process waits for the slowest one's part; a process that is gone is noticed at once."""


class PartHolders(Protocol):
    """All processes that hold parts, this one among them. Every one makes the same calls in the same order."""

    @property
    def part(self) -> Part:
        """Which part is this process's."""

    def from_leader(self, mine: Any) -> Any:
        """Return the leader's value."""

    def of_all(self, mine: Any) -> list[Any]:
        """Return everybody's values, by part."""


class ProcessPeers:
    """The ranks of a process group, by Gloo: what is said is small and comes from our own processes."""

    def __init__(self, part: Part) -> None:
        self._part = part
        group = dist.new_group(backend="gloo", timeout=PATIENCE)
        assert isinstance(group, dist.ProcessGroup)  # else this process is none of them
        self._group = group

    @property
    def part(self) -> Part:
        """Which part is this process's."""
        return self._part

    def from_leader(self, mine: Any) -> Any:
        """Return the leader's value."""
        said = [mine]
        dist.broadcast_object_list(said, src=0, group=self._group)
        return said[0]

    def of_all(self, mine: Any) -> list[Any]:
        """Return everybody's values, by part."""
        said: list[Any] = [None] * self._part.count
        dist.all_gather_object(said, mine, group=self._group)
        return said
