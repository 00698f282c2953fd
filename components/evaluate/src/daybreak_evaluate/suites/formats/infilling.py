"""HumanEval-Infilling's rows (openai/human-eval-infilling, Bavarian et al. 2022, arXiv 2207.14255).

Single line, multi line and random span have the same fields: text before the gap, behind it, and what stood in it.
"""

from __future__ import annotations

from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.task import Task


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row: Python."""
    return Task(
        task_id=row.text("task_id"),
        language="python",
        prompt=row.text("prompt"),
        suffix=row.text("suffix"),
        test=row.text("test"),
        entry_point=row.text("entry_point"),
        canonical=row.optional_text("canonical_solution"),
    )
