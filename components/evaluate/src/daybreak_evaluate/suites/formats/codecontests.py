"""CodeContests' rows (google-deepmind/code_contests, Li et al. 2022, arXiv 2203.07814), as Parquet or JSON.

All three lists of tests are run. A problem that reads a file, or has no test, is refused.
"""

from __future__ import annotations

from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.suites.formats.statements import TEST_S, program_task
from daybreak_evaluate.task import Example, Task

LANGUAGES = {"python": (3, "PYTHON3"), "cpp": (2, "CPP"), "java": (4, "JAVA")}
"""How ``solutions.language`` says a language: by the number of contest_problem.proto, or by its name."""
LISTS = ("public_tests", "private_tests", "generated_tests")


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row, in the language that the manifest names, or in Python."""
    wanted = language or "python"
    for field in ("input_file", "output_file"):
        if row.optional_text(field):
            raise UserError(
                f"{row.place}: {field} says that the program reads or writes a file; such problems are "
                "not run, leave them out"
            )
    examples = [example for field in LISTS for example in _examples(row, field)]
    if not examples:
        raise UserError(f"{row.place}: none of {', '.join(LISTS)} has a test, leave the problem out")
    return program_task(
        f"CodeContests/{row.text('name')}",
        row.text("description"),
        examples,
        language=wanted,
        canonical=_solution(row, wanted),
        test_s=_time_s(row.values.get("time_limit")),
    )


def _examples(row: ProblemRow, field: str) -> list[Example]:
    match row.values.get(field):
        case None:
            return []
        case {"input": list(inputs), "output": list(outputs)} if len(inputs) == len(outputs):
            sides = [*inputs, *outputs]
            if all(isinstance(side, str) for side in sides):
                return [Example(given, right) for given, right in zip(inputs, outputs, strict=True)]
    raise UserError(f"{row.place}: {field} must have input and output, lists of as many texts")


def _solution(row: ProblemRow, language: str) -> str | None:
    match row.values.get("solutions"):
        case {"language": list(languages), "solution": list(solutions)} if len(languages) == len(solutions):
            names = LANGUAGES.get(language, ())
            right = [text for said, text in zip(languages, solutions, strict=True) if said in names]
            return right[0] if right and isinstance(right[0], str) else None
    return None


def _time_s(limit: Any) -> float:
    """Return seconds for one test: the contest's own, and no less than other formats of this kind give."""
    match limit:
        case {"seconds": int(seconds), **rest}:
            nanos = rest.get("nanos")
            return max(TEST_S, seconds + (nanos if isinstance(nanos, int) else 0) / 1e9)
    return TEST_S
