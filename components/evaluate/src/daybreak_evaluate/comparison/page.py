"""``compare.html``: what two models did differently, side by side. Owns what is shown; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daybreak_contracts.report import page
from daybreak_evaluate.comparison.paired import PairedComparison
from daybreak_evaluate.comparison.records import Record, text_of

TEMPLATE = "compare.html.jinja"
MAX_TASKS = 8
"""Tasks shown of each metric on which B is better, and as many on which it is worse."""
MAX_TEXT = 1200


def build(
    names: tuple[str, str], comparisons: Sequence[tuple[PairedComparison, Sequence[Record], Sequence[Record]]]
) -> str:
    """Return the page; equal arguments give equal bytes."""
    return page.render(
        "daybreak_evaluate.comparison",
        TEMPLATE,
        title="Two models",
        names=names,
        comparisons=[found for found, _, _ in comparisons],
        details=[
            (found, title, _tasks(tasks, found.metric, a, b))
            for found, a, b in comparisons
            for title, tasks in (("B is better", found.better), ("B is worse", found.worse))
            if tasks and not found.metric.endswith("-similarity")
        ],
        max_text=MAX_TEXT,
        max_tasks=MAX_TASKS,
    )


def _tasks(
    tasks: Sequence[str], metric: str, a: Sequence[Record], b: Sequence[Record]
) -> list[tuple[str, Record, Record]]:
    first, second = _one_each(metric, a, tasks), _one_each(metric, b, tasks)
    return [(task, first[task], second[task]) for task in tasks[:MAX_TASKS]]


def _one_each(metric: str, records: Sequence[Record], tasks: Sequence[str]) -> Mapping[str, Record]:
    """Return one answer a task: the first."""
    wanted = set(tasks[:MAX_TASKS])
    kind = metric.rpartition("/")[2].removesuffix("-exact")
    found: dict[str, Record] = {}
    for record in records:
        if record["task_id"] in wanted and ("similarity" not in record or record["kind"] == kind):
            found.setdefault(record["task_id"], {**record, "text": text_of(record)})
    return found
