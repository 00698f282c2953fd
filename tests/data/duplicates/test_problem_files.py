"""The user's own files of problems: what gives one away in each format, and what every program has does not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, get_args

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.problems import ProblemFile, ProblemFormat
from daybreak_data.duplicates.decontaminate import contaminated_by
from daybreak_data.duplicates.problem_texts import PARTS_OF, KnownProblems, known_problems, prose_of

PROSE = "Weigh every pebble of the basket against its neighbour and report the heaviest pair by colour."
SOLUTION = "heaviest = max(pairs, key=lambda pair: weigh(pair.left, pair.right) + bonus_of(pair.colour))"
PYTHON = f'def weigh_pebbles(basket):\n    """{PROSE}"""\n'
GO = f'import (\n\t"strings"\n\t"sort"\n)\n\n// {PROSE}\nfunc WeighPebbles(basket []Pebble) string {{\n'

ROWS: list[Any] = [
    pytest.param("HumanEval", {"task_id": "Own/1", "prompt": PYTHON, "canonical_solution": SOLUTION}, "Own/1", id="he"),
    pytest.param("HumanEvalX", {"task_id": "Go/1", "prompt": GO, "canonical_solution": SOLUTION}, "Go/1", id="hex"),
    pytest.param("Mxeval", {"task_id": "M/1", "prompt": GO, "description": PROSE, "canonical_solution": SOLUTION},
                 "M/1", id="mxeval"),
    pytest.param("HumanEvalInfilling", {"task_id": "SingleLineInfilling/HumanEval/7/L0", "prompt": PYTHON,
                 "canonical_solution": f"    {SOLUTION}\n", "suffix": "    return heaviest\n"},
                 "HumanEval/7", id="fim"),
    pytest.param("Safim", {"task_id": "s_1", "ground_truth": SOLUTION, "eval_prompt": f"# {PROSE}\n{{{{completion}}}}"},
                 "s_1", id="safim"),
    pytest.param("Mbpp", {"task_id": 5, "text": PROSE, "code": SOLUTION}, "MBPP/5", id="mbpp"),
    pytest.param("Repository", {"task_id": "a.py::f", "canonical_solution": SOLUTION}, "a.py::f", id="repository"),
]  # fmt: skip


def file_of(folder: Path, problem_format: str, *rows: dict[str, Any]) -> ProblemFile:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (folder / "p.jsonl").write_bytes(data)
    return ProblemFile(
        uri=str(folder / "p.jsonl"),
        sha256=hashlib.sha256(data).hexdigest(),
        format=problem_format,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("problem_format", "row", "task"), ROWS)
def test_a_solution_gives_its_problem_away(
    tmp_path: Path, problem_format: str, row: dict[str, Any], task: str
) -> None:
    known = known_problems([], [file_of(tmp_path, problem_format, row)])
    assert contaminated_by(f"import os\n\n{SOLUTION.upper()}\n", known) == task
    assert contaminated_by("import os\nprint(os.getcwd())\n", known) is None


@pytest.mark.parametrize(
    ("problem_format", "row", "task"),
    [
        pytest.param("Apps", {"problem_id": 5, "question": PROSE}, "APPS/5", id="apps"),
        pytest.param("CodeContests", {"name": "5_A", "description": PROSE}, "5_A", id="codecontests"),
        pytest.param(
            "LiveCodeBench", {"question_id": "q5", "question_content": PROSE}, "q5", id="livecodebench"
        ),
        pytest.param("Mbpp", {"task_id": 5, "prompt": PROSE, "code": "x"}, "MBPP/5", id="mbpp-sanitized"),
    ],
)
def test_a_statement_gives_its_problem_away(
    tmp_path: Path, problem_format: str, row: dict[str, Any], task: str
) -> None:
    known = known_problems([], [file_of(tmp_path, problem_format, row)])
    assert contaminated_by(f"# {PROSE}\nprint(1)\n", known) == task
    assert contaminated_by("import os\nprint(os.getcwd())\n", known) is None


def test_prose_gives_a_problem_away_in_any_comment(tmp_path: Path) -> None:
    known = known_problems([], [file_of(tmp_path, "MultiPLE", {"name": "HumanEval_1_x", "prompt": GO})])
    assert contaminated_by(f"/* {PROSE} */ int main() {{}}", known) == "HumanEval_1_x"
    assert contaminated_by('import (\n\t"strings"\n\t"sort"\n)\n\nfunc WeighPebbles() {}\n', known) is None


def test_what_many_problems_of_a_file_say_is_their_template(tmp_path: Path) -> None:
    rows = [
        {"task_id": f"T/{number}", "prompt": "",
         "description": f"You are an expert pebble weigher who never errs; {word}",
         "canonical_solution": None}
        for number, word in enumerate(("sort them", "paint them", "count them", "throw them", "hide them"))
    ]  # fmt: skip
    known = known_problems([], [file_of(tmp_path, "Mxeval", *rows)])
    assert contaminated_by("# You are an expert pebble weigher who never errs; I am none", known) is None


@pytest.mark.parametrize(
    "solution",
    [
        pytest.param("months = ['Jan','Feb','Mar','Apr','May','Jun','Jul','Aug','Sep','Oct','Dec'];", id="months"),
        pytest.param("switch (n) { case 0: return 0; case 1: return 1; case 2: return 2; case 3: }", id="case"),
        pytest.param("for (int i = 0; i < text.length(); i++) { char c = text.charAt(i); }", id="letters"),
    ],
)  # fmt: skip
def test_what_anybody_writes_in_any_language_gives_nothing_away(tmp_path: Path, solution: str) -> None:
    row = {"task_id": "M/1", "prompt": "", "canonical_solution": solution}
    known = known_problems([], [file_of(tmp_path, "Mxeval", row)])
    assert contaminated_by(f"static void x() {{\n{solution}\n}}", known) is None


def test_every_format_of_the_manifest_is_known() -> None:
    assert set(PARTS_OF) == set(get_args(ProblemFormat))


def test_files_and_human_eval_are_told_apart_by_digest(tmp_path: Path) -> None:
    file = file_of(tmp_path, "Repository", {"task_id": "a", "canonical_solution": "x"})
    short = known_problems([], [file])
    assert contaminated_by("x " * 40, short) is None, "problems of a few words have no run of ten"
    assert short != KnownProblems(human_eval=False) and not KnownProblems(human_eval=False)
    (tmp_path / "p.jsonl").write_text("{}")
    with pytest.raises(UserError, match="the file has changed"):
        known_problems([], [file])


def test_prose_leaves_boilerplate_out() -> None:
    assert prose_of("#include <vector>\n#!/bin/sh\n-- one\n;; two\nx = 1 // three\n") == [" one\n two"]
