"""A step's progress: whatever is reported, the share that is told never goes back."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.progress import Progress

NUMBERS = st.floats(min_value=-10, max_value=1e9, allow_nan=False)
REPORTS = st.lists(st.tuples(st.integers(-1, 3), NUMBERS, NUMBERS), max_size=30)
PARTS = ((0.0, 0.2), (0.2, 0.5), (0.5, 0.5), (0.5, 1.0))


def share(state: Mapping[str, Any]) -> float:
    """What every reader of a report makes of it."""
    return state["done"] / state["total"] if state["total"] else 0.0


@given(REPORTS)
def test_the_share_of_a_step_never_goes_back(reports: list[tuple[int, float, float]]) -> None:
    told: list[float] = []
    whole = Progress("step", stream=io.StringIO(), listener=lambda state: told.append(share(state)))
    for place, done, total in reports:
        reporter = whole if place < 0 else whole.part(*PARTS[place])
        reporter.report("works", done, total)
    assert told == sorted(told)
    assert all(0 <= value <= 1 for value in told)


def test_the_next_part_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    told: list[float] = []
    whole = Progress("documents", file=tmp_path / "p.json", listener=lambda state: told.append(share(state)))
    reading, checking = whole.part(0, 0.5), whole.part(0.5, 1)
    reading.report("reading", 99, 100)
    checking.report("checking")
    checking.report("checking", 13, 100)
    inner = checking.part(0.5, 1)
    inner.report("checking the rest", 1, 2)
    inner.report("done", 1, 1)
    assert told == [0.495, 0.5, 0.565, 0.875, 1.0]
    assert share(json.loads((tmp_path / "p.json").read_text())) == 1.0


def test_an_unknown_share_keeps_the_one_before() -> None:
    told: list[float] = []
    progress = Progress("step", stream=io.StringIO(), listener=lambda state: told.append(share(state)))
    for done, total in ((0, 0), (3, 4), (0, 0), (1, 4), (4, 4)):
        progress.report("works", done, total)
    assert told == [0, 0.75, 0.75, 0.75, 1]
