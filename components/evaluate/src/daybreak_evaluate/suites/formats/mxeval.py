"""mxeval's rows (amazon-science/mxeval, Athiwaratkun et al. 2022, arXiv 2210.14868).

MBXP, multilingual HumanEval and MathQA: the program is prompt, answer and test, one behind another. Most
languages have no solutions.
"""

from __future__ import annotations

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.task import Task

LANGUAGES = frozenset(
    (
        "cpp",
        "csharp",
        "go",
        "java",
        "javascript",
        "kotlin",
        "perl",
        "php",
        "python",
        "ruby",
        "scala",
        "swift",
        "typescript",
    )
)


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row; it says its language by its name."""
    found = row.text("language")
    if found not in LANGUAGES:
        raise UserError(
            f"{row.place}: language must be one of {', '.join(sorted(LANGUAGES))}, got {found[:60]}"
        )
    return Task(
        task_id=row.text("task_id"),
        language=found,
        prompt=row.text("prompt"),
        test=row.text("test"),
        entry_point=row.text("entry_point"),
        canonical=row.optional_text("canonical_solution"),
    )
