"""APPS' rows (hendrycks/apps, Hendrycks et al. 2021, arXiv 2105.09938): the published JSON Lines and Parquet.

``input_output`` holds tests by standard input, or by calls where it has ``fn_name``; ``solutions`` is a list as text.
"""

from __future__ import annotations

from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.suites.formats.statements import call_task, json_field, program_task
from daybreak_evaluate.task import Example, Task


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row: Python."""
    task_id = f"APPS/{row.label('problem_id' if 'problem_id' in row.values else 'id')}"
    tests = json_field(row, "input_output")
    match tests:
        case {"inputs": list(inputs), "outputs": list(outputs)} if inputs and len(inputs) == len(outputs):
            pass
        case _:
            raise UserError(
                f"{row.place}: input_output must have as many inputs as outputs, and one at least; APPS' training half "
                "has problems without tests, leave them out of the file"
            )
    solutions = json_field(row, "solutions") or []
    canonical = (
        solutions[0] if isinstance(solutions, list) and solutions and isinstance(solutions[0], str) else None
    )
    starter = row.optional_text("starter_code") or ""
    statement = row.text("question")
    function = tests.get("fn_name")
    if isinstance(function, str) and function:
        calls = [
            (_arguments(row, given), _answers(right)) for given, right in zip(inputs, outputs, strict=True)
        ]
        return call_task(task_id, statement, starter, function, calls, canonical=canonical)
    examples = [
        Example(_text(row, given), _text(row, right)) for given, right in zip(inputs, outputs, strict=True)
    ]
    return program_task(task_id, statement, examples, canonical=canonical)


def _arguments(row: ProblemRow, given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise UserError(
            f"{row.place}: inputs of a function must be lists of arguments, got {str(given)[:60]!r}"
        )
    return given


def _answers(right: Any) -> list[Any]:
    """APPS takes an answer, and where that is a list its first item too: many of its rows have it wrapped."""
    return [right, right[0]] if isinstance(right, list) and right else [right]


def _text(row: ProblemRow, value: Any) -> str:
    """Return a side of a test: a text, or a list of lines."""
    match value:
        case str():
            return value
        case list() if all(isinstance(line, str) for line in value):
            return "\n".join(value)
    raise UserError(f"{row.place}: input_output must hold texts or lists of lines, got {str(value)[:60]!r}")
