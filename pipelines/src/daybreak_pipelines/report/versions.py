"""The page of two versions of a data set: what came, went, changed and moved, with examples.

Owns what is shown; ``versions.html.jinja`` has the order, ``daybreak_contracts.report`` the look.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daybreak_contracts.report import page
from daybreak_contracts.report.formats import counted, number

TEMPLATE = "versions.html.jinja"
TITLES = {
    "dropped": "Kept before, dropped now",
    "out": "Not in the sources any more",
    "in": "New",
    "changed": "Changed",
    "moved": "Moved",
}
MAX_ROWS = 40
"""Rows a table; licences and sources can be many, the JSON has them all."""


def build(told: Mapping[str, Any]) -> str:
    """Return the page of a diff (``daybreak diff``'s JSON)."""
    return page.render(
        "daybreak_pipelines.report",
        TEMPLATE,
        title="Two versions of a data set",
        lead=sentence(told),
        told=told,
        tables={name: _largest(rows) for name, rows in told["by"].items()},
        cut={name: max(0, len(rows) - MAX_ROWS) for name, rows in told["by"].items()},
        titles=TITLES,
    )


def sentence(told: Mapping[str, Any]) -> str:
    """Return the diff in one line."""
    total = {kind: row["documents"] for kind, row in told["total"].items()}
    if not any(total[kind] for kind in ("out", "in", "changed", "moved")):
        return f"The two hold the same {counted(total['after'], 'document')}."
    return (
        f"{counted(total['before'], 'document')} before, {number(total['after'])} after: {number(total['out'])} out, "
        f"{number(total['in'])} in, {number(total['changed'])} changed, {number(total['moved'])} moved."
    )


def _largest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows in which most happened."""
    return sorted(rows, key=lambda row: (-_touched(row), -row["after"]["documents"], row["value"]))[:MAX_ROWS]


def _touched(row: Mapping[str, Any]) -> int:
    return sum(int(row[kind]["documents"]) for kind in ("out", "in", "changed", "moved"))
