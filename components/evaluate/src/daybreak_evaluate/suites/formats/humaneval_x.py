"""HumanEval-X's rows (THUDM/CodeGeeX, Zheng et al. 2023, arXiv 2303.17568): six languages, one file each.

A program is put together as CodeGeeX' ``evaluate_humaneval_x.py`` does it; numpy alone is not imported ahead, as no
task needs it.
"""

from __future__ import annotations

import re

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.task import Task

LANGUAGES = {
    "CPP": "cpp",
    "Go": "go",
    "Java": "java",
    "JavaScript": "javascript",
    "Python": "python",
    "Rust": "rust",
}
"""What stands before the slash of a task id."""
PYTHON_PREAMBLE = (
    "".join(
        f"import {module}\n"
        for module in (
            "math",
            "re",
            "sys",
            "copy",
            "datetime",
            "itertools",
            "collections",
            "heapq",
            "statistics",
            "functools",
            "hashlib",
            "string",
        )
    )
    + "from typing import *\nfrom collections import *\n"
)
CPP_HEADERS = (
    "stdlib.h",
    "algorithm",
    "math.h",
    "stdio.h",
    "vector",
    "string",
    "climits",
    "cstring",
    "iostream",
)
_CHECK_CALL = re.compile(r"^check\((\w+)\)", re.MULTILINE)


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row; its id says the language."""
    task_id = row.text("task_id")
    found = LANGUAGES.get(task_id.partition("/")[0])
    if found is None:
        raise UserError(
            f"{row.place}: task_id must begin with one of {', '.join(LANGUAGES)} and a slash, got {task_id[:60]}"
        )
    prompt, test = row.text("prompt"), row.text("test")
    return Task(
        task_id=task_id,
        language=found,
        prompt=row.text("declaration") + prompt if found == "rust" else prompt,
        test=test,
        entry_point=_entry_point(row, test) if found == "python" else "",
        preamble=_preamble(row, found, prompt),
        canonical=row.optional_text("canonical_solution"),
    )


def _entry_point(row: ProblemRow, test: str) -> str:
    calls = _CHECK_CALL.findall(test)
    if not calls:
        raise UserError(f"{row.place}: test must end in check(FUNCTION), so that the function is known")
    return str(calls[-1])


def _preamble(row: ProblemRow, language: str, prompt: str) -> str:
    """Return what CodeGeeX puts before the prompt when it runs a program."""
    match language:
        case "python":
            return PYTHON_PREAMBLE
        case "go":
            return row.text("test_setup").rstrip() + "\n\n"
        case "rust":
            return "fn main() {}\n"
        case "cpp":
            lines = [f"#include<{header}>" for header in CPP_HEADERS]
            return "".join(f"{line}\n" for line in lines if line not in prompt)
    return ""
