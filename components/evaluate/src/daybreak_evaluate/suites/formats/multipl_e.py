"""MultiPL-E's rows (nuprl/MultiPL-E, Cassano et al. 2022, arXiv 2208.08227): one file a language and benchmark.

Its licence forbids training on it (BSD 3-Clause with machine learning restriction); there are no solutions in it.
"""

from __future__ import annotations

import re

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.task import Task

LANGUAGES = {
    "adb": "ada",
    "clj": "clojure",
    "cpp": "cpp",
    "cs": "csharp",
    "d": "d",
    "dart": "dart",
    "elixir": "elixir",
    "fs": "fsharp",
    "go": "go",
    "go_test.go": "go",
    "hs": "haskell",
    "java": "java",
    "jl": "julia",
    "js": "javascript",
    "lua": "lua",
    "luau": "luau",
    "ml": "ocaml",
    "php": "php",
    "pl": "perl",
    "py": "python",
    "r": "r",
    "rb": "ruby",
    "rkt": "racket",
    "rs": "rust",
    "scala": "scala",
    "sh": "shell",
    "swift": "swift",
    "ts": "typescript",
}
"""Endings of the translators' files, as ``language`` says them."""
_PYTHON_CALL = re.compile(r"^\s*check\((\w+)\)", re.MULTILINE)


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row; it says its language by the ending of its files."""
    ending = row.text("language")
    found = LANGUAGES.get(ending)
    if found is None:
        raise UserError(
            f"{row.place}: language must be one of {', '.join(sorted(LANGUAGES))}, got {ending[:60]}"
        )
    tests = row.text("tests")
    calls = _PYTHON_CALL.findall(tests) if found == "python" else []
    if found == "python" and not calls:
        raise UserError(f"{row.place}: tests must call check(FUNCTION), so that the function is known")
    return Task(
        task_id=row.text("name"),
        language=found,
        prompt=row.text("prompt"),
        test=tests,
        entry_point=calls[-1] if calls else "",
        stop_words=row.texts("stop_tokens"),
    )
