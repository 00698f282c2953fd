"""MBPP's own rows (google-research/google-research mbpp, Austin et al. 2021, arXiv 2108.07732).

``mbpp.jsonl`` says ``text``, ``sanitized-mbpp.json`` ``prompt`` and ``test_imports``; MBPP+ as EvalPlus publishes it
for data sets has a ``test`` besides, which holds its own inputs and those of ``test_list``. The prompt is a docstring
with the first of the tests, as InCoder and bigcode-evaluation-harness have it; all tests are run.
"""

from __future__ import annotations

import ast
import builtins

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.suites.formats.humaneval import STOPS_OF_WHOLE_FUNCTIONS, asserting
from daybreak_evaluate.suites.formats.statements import names_in
from daybreak_evaluate.task import Task


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row: Python."""
    tests = row.texts("test_list")
    if not tests:
        raise UserError(f"{row.place}: test_list must have at least one assertion")
    code = row.text("code").replace("\r\n", "\n")
    statement = row.text("text") if "text" in row.values else row.text("prompt")
    ahead = [row.optional_text("test_setup_code") or "", *row.texts("test_imports")]
    plus = row.optional_text("test")
    wanted = [plus] if plus else [*tests, *row.texts("challenge_test_list")]
    assertions = "\n".join([*ahead, *wanted]).replace("\r\n", "\n")
    entry_point = _entry_point(row, code, tests)
    return Task(
        task_id=f"MBPP/{row.label('task_id')}",
        language="python",
        prompt=f'"""\n{statement}\n{tests[0]}\n"""\n',
        around=("", "\n"),  # a statement need not be a whole docstring
        test=asserting(assertions, entry_point),
        entry_point=entry_point,
        canonical=code,
        stop_words=STOPS_OF_WHOLE_FUNCTIONS,
    )


def _entry_point(row: ProblemRow, code: str, tests: tuple[str, ...]) -> str:
    """Return the function that the tests call: one that the solution defines, the last where it defines several."""
    called = _called_names("\n".join(tests))
    defined = [name for name in names_in(code) if name in called]
    found = defined or [name for name in called if not hasattr(builtins, name)]
    if not found:
        raise UserError(
            f"{row.place}: test_list must call the function that is to be written, got {tests[0][:60]!r}"
        )
    return found[-1] if defined else found[0]


def _called_names(source: str) -> list[str]:
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
