"""SAFIM's rows (gonglinyuan/safim, Gong et al. 2024, arXiv 2403.04814): gaps in programs of contests, four languages.

The model sees ``prompt``, cut at its placeholder, with the problem's text in front; what is run is ``eval_prompt``.
Rows without unit tests (API calls) are compared by their text in SAFIM, which is no run: they are refused.
"""

from __future__ import annotations

import json
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.task import Example, Task

GAP = "{{completion}}"
_MARK = "TO" + "DO: Your code here"  # in one word it would read as ours
PLACEHOLDERS = {
    "cpp": f"/* {_MARK} */",
    "csharp": f"/* {_MARK} */",
    "java": f"/* {_MARK} */",
    "python": f"# {_MARK}",
}
"""By language: prompt_utils.py of gonglinyuan/safim."""


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row."""
    found = row.text("lang")
    if found not in PLACEHOLDERS:
        raise UserError(f"{row.place}: lang must be one of {', '.join(PLACEHOLDERS)}, got {found[:60]}")
    prompt, suffix = _cut(row, "prompt", PLACEHOLDERS[found])
    return Task(
        task_id=row.text("task_id"),
        language=found,
        prompt=prompt,
        suffix=suffix,
        around=_cut(row, "eval_prompt", GAP),
        examples=_examples(row),
        canonical=row.text("ground_truth"),
    )


def _cut(row: ProblemRow, field: str, mark: str) -> tuple[str, str]:
    parts = row.text(field).split(mark)
    if len(parts) != 2:
        raise UserError(f"{row.place}: {field} must hold {mark} once, it has it {len(parts) - 1} times")
    return parts[0], parts[1]


def _examples(row: ProblemRow) -> tuple[Example, ...]:
    tests: Any = row.values.get("unit_tests")
    if isinstance(tests, str):
        try:
            tests = json.loads(tests) if tests else []
        except (ValueError, RecursionError) as error:
            raise UserError(f"{row.place}: unit_tests is not JSON ({error})") from error
    if not tests:
        raise UserError(
            f"{row.place}: has no unit_tests; SAFIM compares such rows by their text, take the files of blocks or of "
            "control flow"
        )
    if not isinstance(tests, list):
        raise UserError(f"{row.place}: unit_tests must be a list of input and output")
    return tuple(_example(row, test) for test in tests)


def _example(row: ProblemRow, test: Any) -> Example:
    match test:
        case {"input": str(given), "output": [str(expected), *_]} | {
            "input": str(given),
            "output": str(expected),
        }:
            return Example(given, expected)
    raise UserError(f"{row.place}: each of unit_tests must have input, a text, and output, a list of texts")
