"""One row of each public format, in our own words: the task that it is, and what is refused by its field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_contracts.resources.problems import ProblemFormat
from daybreak_evaluate.suites import problem_suite
from daybreak_evaluate.suites.formats import TASKS_OF
from daybreak_evaluate.suites.formats.safim import PLACEHOLDERS
from daybreak_evaluate.suites.protocol import ignore_progress
from daybreak_evaluate.task import Example, Task
from tests.evaluate.suites.own_problems import DOUBLE, Knows, context_of, suite_of, write_rows

SAFIM = {
    "task_id": "block_1",
    "lang": "python",
    "prompt": f"Double a number.\nn = int(input())\n{PLACEHOLDERS['python']}\nprint(n)\n",
    "eval_prompt": "n = int(input())\n{{completion}}\nprint(n)\n",
    "ground_truth": "n = 2 * n",
    "unit_tests": json.dumps([{"input": "4\n", "output": ["8"]}, {"input": "-1", "output": ["-2\n"]}]),
}
FIM = {
    "task_id": "SingleLineInfilling/HumanEval/900/L0",
    "entry_point": "double",
    "prompt": "def twice(n):\n    return n + n\n\n\ndef double(n):\n    if n:\n",
    "suffix": "    return 0\n",
    "canonical_solution": "        return twice(n)\n",
    "test": "def check(candidate):\n    assert candidate(3) == twice(3)\n    assert candidate(0) == 0\n",
}
MULTI = {"name": "HumanEval_900_double", "language": "go_test.go", "prompt": "package double_test\n",
         "tests": "func TestDouble(t *testing.T) {}\n", "stop_tokens": ["\nfunc"]}  # fmt: skip
MXEVAL = {"task_id": "MBJSP/900", "language": "javascript", "prompt": "function double(n) {\n",
          "entry_point": "double", "test": "if (double(2) !== 4) throw 1\n",
          "canonical_solution": None, "description": "Double"}  # fmt: skip
GO = {"task_id": "Go/900", "prompt": "func Double(n int) int {\n", "canonical_solution": "    return 2 * n\n}\n",
      "test_setup": "package main\n\nimport \"testing\"\n", "test": "func TestDouble(t *testing.T) {}\n"}  # fmt: skip
RUST = {"task_id": "Rust/900", "prompt": "// doubles\n", "declaration": "fn double(n: i32) -> i32 {\n",
        "canonical_solution": "2 * n\n}\n", "test": "#[test]\nfn test() {}\n"}  # fmt: skip
MBPP = {"task_id": "Mbpp/900", "prompt": '"""\nWrite a function to double a number.\nassert double(2) == 4\n"""\n',
        "entry_point": "double", "canonical_solution": "\ndef double(n):\n    return 2 * n\n", "atol": 0,
        "assertion": "\nassert double(2) == 4\nassert math.isclose(double(0.5), 1)\n"}  # fmt: skip
CPP = {"task_id": "CPP/900", "prompt": "#include<string>\nint twice(int n){\n", "test": "int main(){}\n"}

TASKS: list[Any] = [
    pytest.param("HumanEvalInfilling", FIM, Task(
        "SingleLineInfilling/HumanEval/900/L0", "python", FIM["prompt"], FIM["test"], "double",
        suffix=FIM["suffix"], canonical=FIM["canonical_solution"]), id="infilling"),
    pytest.param("MultiPLE", MULTI, Task(
        "HumanEval_900_double", "go", "package double_test\n", MULTI["tests"], stop_words=("\nfunc",)), id="multipl-e"),
    pytest.param("Mxeval", MXEVAL, Task(
        "MBJSP/900", "javascript", "function double(n) {\n", MXEVAL["test"], "double"), id="mxeval"),
    pytest.param("HumanEvalX", GO, Task(
        "Go/900", "go", GO["prompt"], GO["test"], preamble='package main\n\nimport "testing"\n\n',
        canonical=GO["canonical_solution"]), id="humaneval-x-go"),
    pytest.param("HumanEvalX", RUST, Task(
        "Rust/900", "rust", "fn double(n: i32) -> i32 {\n// doubles\n", RUST["test"], preamble="fn main() {}\n",
        canonical="2 * n\n}\n"), id="humaneval-x-rust"),
    pytest.param("Safim", SAFIM, Task(
        "block_1", "python", "Double a number.\nn = int(input())\n", suffix="\nprint(n)\n",
        around=("n = int(input())\n", "\nprint(n)\n"), examples=(Example("4\n", "8"), Example("-1", "-2\n")),
        canonical="n = 2 * n"), id="safim"),
]  # fmt: skip


@pytest.mark.parametrize(("problem_format", "row", "task"), TASKS)
def test_a_row_is_a_task(problem_format: str, row: dict[str, Any], task: Task) -> None:
    assert TASKS_OF[problem_format](ProblemRow("p.jsonl, line 1", row), None) == task


def test_headers_that_a_prompt_has_are_not_included_twice() -> None:
    preamble = TASKS_OF["HumanEvalX"](ProblemRow("p", CPP), None).preamble
    assert "#include<vector>\n" in preamble and "#include<string>" not in preamble


@pytest.mark.slow
def test_mbpp_plus_is_judged_by_its_assertions(tmp_path: Path) -> None:
    made = problem_suite.make(suite_of(write_rows(tmp_path, [MBPP]), "HumanEval"), context_of(tmp_path))
    tasks = made.tasks()  # its own solution passes, an empty answer does not
    answers = [[str(MBPP["canonical_solution"]), "\ndef double(n):\n    return 4\n"]]
    outcome = made.judge(tasks, answers, ignore_progress)
    assert [record["passed"] for record in outcome.samples] == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("row", [FIM, SAFIM], ids=["infilling", "safim"])
def test_gaps_are_filled_and_run(tmp_path: Path, row: dict[str, Any]) -> None:
    problem_format = "Safim" if row is SAFIM else "HumanEvalInfilling"
    made = problem_suite.make(suite_of(write_rows(tmp_path, [row]), problem_format), context_of(tmp_path))
    right = str(row.get("ground_truth") or row["canonical_solution"])
    for answer, value in ((right, 1.0), (right.replace("n", "1"), 0.0)):
        completer = Knows(lambda prompt, said=answer: said)  # type: ignore[misc]
        tasks = made.tasks()
        prompts, sampling = made.prompts(tasks, completer, ignore_progress)
        assert prompts[0].suffix and sampling.stop == ()
        outcome = made.judge(tasks, completer.complete(prompts, sampling, ignore_progress), ignore_progress)
        assert [score.value for score in outcome.scores] == [value], outcome.samples


@pytest.mark.parametrize(
    ("problem_format", "row", "sentence"),
    [
        pytest.param(
            "HumanEvalX", {**DOUBLE, "task_id": "Cobol/0"}, "task_id must begin with one of", id="x-language"
        ),
        pytest.param(
            "HumanEvalX", {**DOUBLE, "test": "assert 1\n"}, "test must end in check", id="x-no-check"
        ),
        pytest.param("HumanEvalX", {**GO, "test_setup": 1}, "test_setup must be text", id="x-setup"),
        pytest.param("HumanEval", DOUBLE, "field entry_point is missing", id="another-format"),
        pytest.param(
            "HumanEval", MXEVAL, "language is javascript, .*take the format Mxeval", id="mxevals-row"
        ),
        pytest.param(
            "HumanEval", {**MBPP, "entry_point": "a b"}, "entry_point must be a name", id="mbpp-name"
        ),
        pytest.param(
            "MultiPLE", {**MULTI, "language": "cobol"}, "language must be one of", id="multipl-e-language"
        ),
        pytest.param(
            "MultiPLE", {**MULTI, "stop_tokens": "x"}, "stop_tokens must be a list", id="multipl-e-stops"
        ),
        pytest.param("Mxeval", {**MXEVAL, "language": "js"}, "language must be one of", id="mxeval-language"),
        pytest.param("Safim", {**SAFIM, "lang": "go"}, "lang must be one of", id="safim-language"),
        pytest.param("Safim", {**SAFIM, "prompt": "x"}, "prompt must hold # TO", id="safim-gap"),
        pytest.param("Safim", {**SAFIM, "unit_tests": ""}, "has no unit_tests", id="safim-api"),
        pytest.param("Safim", {**SAFIM, "unit_tests": "[{"}, "unit_tests is not JSON", id="safim-torn"),
        pytest.param(
            "Safim",
            {**SAFIM, "unit_tests": [{"input": 1}]},
            "each of unit_tests must have input",
            id="safim-test",
        ),
    ],
)
def test_a_wrong_row_is_refused_by_its_field(problem_format: str, row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=r"p\.jsonl, line 7: " + sentence):
        TASKS_OF[problem_format](ProblemRow("p.jsonl, line 7", row), None)


def test_every_format_of_the_manifest_is_read() -> None:
    assert set(TASKS_OF) == set(get_args(ProblemFormat))
