"""HumanEval's rows (openai/human-eval) and those made after them: EvalPlus and others write the same fields.

The test defines ``check(candidate)`` and is called with the function that ``entry_point`` names.
"""

from __future__ import annotations

from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.task import Task


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row: Python, unless the manifest says otherwise."""
    return Task(
        task_id=row.text("task_id"),
        language=language or "python",
        prompt=row.text("prompt"),
        test=row.text("test"),
        entry_point=row.text("entry_point"),
        canonical=row.optional_text("canonical_solution"),
    )
