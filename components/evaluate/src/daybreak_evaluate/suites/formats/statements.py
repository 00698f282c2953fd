"""What formats of contest problems have in common: a statement as comments, tests by input and output or by calls.

A statement is not part of the program that is run, whatever stands in it. The answer is a whole program, as in the
projects' own runners; starter code is shown with the statement.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.task import Example, Task

PYTHON = "python"
COMMENTS = {PYTHON: "# ", "ruby": "# ", "shell": "# ", "lua": "-- "}
"""By language; all others take two slashes."""
STOPS = ("\n```", "\nQUESTION", "\nANSWER", "\n# QUESTION", "\n// QUESTION", "\n---")
"""A whole program has no end of its own; these are APPS' own (hendrycks/apps), as comments too."""
IMPORTS = (
    "import bisect, collections, copy, datetime, functools, heapq, itertools, json, math, operator, random, re\n"
    "import string, sys\n"
    "from typing import *\nfrom collections import *\nfrom functools import *\nfrom heapq import *\n"
    "from itertools import *\nfrom math import *\nfrom bisect import *\n"
    "sys.setrecursionlimit(50_000)\n"
)
"""APPS and LiveCodeBench import these before a program, as LeetCode does."""
CALL = "call_solution"
_CALLS = f"""

def {CALL}(*given):
    holder = globals().get("Solution")
    return getattr(holder(), NAME)(*given) if holder is not None else globals()[NAME](*given)
"""
TEST_S, ALL_TESTS_S = 6.0, 60.0
"""Processor time for one test, as in LiveCodeBench, and at most for all: programs that never end would take minutes."""


def commented(text: str, language: str = PYTHON) -> str:
    """Return a text as line comments."""
    mark = COMMENTS.get(language, "// ")
    return "".join(f"{mark}{line}".rstrip() + "\n" for line in text.strip().splitlines()) + "\n"


def program_task(
    task_id: str,
    statement: str,
    examples: Sequence[Example],
    *,
    language: str = PYTHON,
    canonical: str | None = None,
    test_s: float = TEST_S,
) -> Task:
    """Return a task whose answer is a whole program that reads standard input."""
    return Task(
        task_id=task_id,
        language=language,
        prompt=commented(f"{statement}\n\nRead standard input, write standard output.", language),
        around=(IMPORTS if language == PYTHON else "", "\n"),
        examples=tuple(examples),
        canonical=canonical,
        stop_words=STOPS,
        timeout_s=time_for(len(examples), test_s),
    )


def call_task(
    task_id: str,
    statement: str,
    starter: str,
    function: str,
    calls: Sequence[tuple[list[Any], list[Any]]],
    *,
    canonical: str | None = None,
) -> Task:
    """Return a task whose answer is a function, or a class ``Solution`` with it; ``calls``: arguments and answers."""
    return Task(
        task_id=task_id,
        language=PYTHON,
        prompt=commented(f"{statement}\n\n{starter}".rstrip()),
        around=(IMPORTS, _CALLS.replace("NAME", repr(function))),
        entry_point=CALL,
        test=_test_of(calls),
        canonical=canonical,
        stop_words=STOPS,
        timeout_s=time_for(len(calls)),
    )


def _test_of(calls: Sequence[tuple[list[Any], list[Any]]]) -> str:
    return (
        f"CALLS = {[*calls]!r}\n\n\n"
        "def as_lists(value):\n"
        "    return [as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value\n\n\n"
        "def check(candidate):\n"
        "    for given, right in CALLS:\n"
        "        found = as_lists(candidate(*given))\n"
        "        assert any(found == answer for answer in right), found\n"
    )


def time_for(num_tests: int, test_s: float = TEST_S) -> float:
    """Return the seconds for all tests; few values, as tasks of one limit are judged together."""
    wanted = max(test_s, 1.0)
    while wanted < min(num_tests * test_s, ALL_TESTS_S):
        wanted *= 2
    return min(wanted, max(ALL_TESTS_S, test_s))


def json_field(row: ProblemRow, field: str) -> Any:
    """Return a field that holds JSON as text, or its value already."""
    value = row.values.get(field)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{row.place}: {field} is not JSON ({error})") from error


def names_in(source: str) -> list[str]:
    """Return the functions and classes that a source defines; none where it does not parse."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
