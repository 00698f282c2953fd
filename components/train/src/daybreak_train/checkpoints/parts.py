"""Which rows of a tensor belong to which part of a sharded checkpoint: pure arithmetic.

Owns the cut along the first dimension. It is the one of FSDP2 (``torch.chunk``): all parts have the same number of
rows, the last ones fewer or none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Rows = tuple[int, int]
"""First row and the one after the last."""


@dataclass(frozen=True)
class Part:
    """One part of several; one of one is the whole."""

    index: int = 0
    count: int = 1

    @property
    def is_whole(self) -> bool:
        """True when nothing is cut."""
        return self.count == 1


WHOLE = Part()


def rows_of(total: int, part: Part) -> Rows:
    """Return which of ``total`` rows a part holds.

    >>> [rows_of(10, Part(index, 4)) for index in range(4)]
    [(0, 3), (3, 6), (6, 9), (9, 10)]
    """
    size = -(-total // part.count)
    return min(total, part.index * size), min(total, (part.index + 1) * size)


def overlap(one: Rows, other: Rows) -> Rows:
    """Return the rows that both have; an empty range when there are none."""
    first = max(one[0], other[0])
    return first, max(first, min(one[1], other[1]))


def holders(totals: Iterable[int], mine: Part, count: int) -> list[int]:
    """Return which of ``count`` parts hold rows of mine: what a process must read to go on.

    At least one: also a process without a row of anything needs the scalars, which every part has.
    """
    wanted = [(total, rows_of(total, mine)) for total in set(totals)]
    found = [
        index
        for index in range(count)
        if any(_shared(rows, rows_of(total, Part(index, count))) for total, rows in wanted)
    ]
    return found or [0]


def _shared(one: Rows, other: Rows) -> bool:
    first, end = overlap(one, other)
    return end > first
