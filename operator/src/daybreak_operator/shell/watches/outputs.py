"""Which TrainingRuns that are not over have one output, the oldest first.

A thousand runs may be made of one template that nobody changed: each pass of each of them asks, so a change costs a
search and an answer nothing. Pure.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from daybreak_operator.core.training.observed.neighbours import Neighbour

Place = tuple[str, str]


def _place(one: Neighbour) -> Place:
    """Return what orders runs, and never changes of one."""
    return one.created, one.uid


class Outputs:
    """The runs of each output, as others see them."""

    def __init__(self) -> None:
        self._runs: dict[str, list[Neighbour]] = {}

    def put(self, output: str, run: Neighbour) -> None:
        """Take in a run, or a newer version of it."""
        runs = self._runs.setdefault(output, [])
        at = bisect.bisect_left(runs, _place(run), key=_place)
        is_there = at < len(runs) and _place(runs[at]) == _place(run)
        runs[at : at + is_there] = [run]

    def drop(self, output: str, run: Neighbour) -> None:
        """Forget a run that was put there."""
        runs = self._runs[output]
        del runs[bisect.bisect_left(runs, _place(run), key=_place)]
        if not runs:
            del self._runs[output]

    def of(self, output: str) -> Sequence[Neighbour]:
        """Return the runs of an output; good until the next change."""
        return self._runs.get(output, ())
