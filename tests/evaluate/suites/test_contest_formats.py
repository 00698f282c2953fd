"""MBPP's own files and formats of contest problems: rows in our own words, judged; what is refused, and how."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.suites import problem_suite
from daybreak_evaluate.suites.formats import TASKS_OF
from daybreak_evaluate.suites.formats.statements import ALL_TESTS_S, TEST_S, time_for
from daybreak_evaluate.suites.protocol import ignore_progress
from daybreak_evaluate.task import Task
from tests.evaluate.suites.own_problems import context_of, suite_of, write_rows


def packed(tests: Any) -> str:
    """Pack tests as LiveCodeBench's files do."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


MBPP = {
    "text": "Write a function to double a number.",
    "task_id": 900,
    "test_setup_code": "",
    "code": "import math\r\ndef twice(n):\r\n  return 2 * n\r\ndef double_all(ns):\r\n  return list(map(twice, ns))",
    "test_list": ["assert double_all([1, 2]) == [2, 4]", "assert set(double_all([3])) == {6}"],
    "challenge_test_list": ["assert double_all([]) == []"],
}
SANITIZED = {
    "source_file": "x.ipynb",
    "task_id": 901,
    "prompt": "Write a function to check a number.",
    "code": "def check(n):\n    return n > 1.5",
    "test_imports": ["import math"],
    "test_list": ["assert check(math.pi) == True", "assert check(1) == False"],
}
PLUS = {
    **{
        name: value
        for name, value in MBPP.items()
        if name not in ("test_setup_code", "challenge_test_list", "text")
    },
    "prompt": "Write a function to double all numbers.",
    "source_file": "Benchmark Questions Verification V2.ipynb",
    "test_imports": [],
    "test": "import numpy as np\nfrom math import inf\n\ndef assertion(out, exp, atol):\n"
    "    assert out == exp, f'out: {out}, exp: {exp}'\n\n"
    "inputs = [[[1, 2]], [[]], [[7]]]\nresults = [[2, 4], [], [14]]\n"
    "for i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(double_all(*inp), exp, 0)\n",
}
APPS = {
    "problem_id": 7,
    "question": "Double a number. \\underline{Read} it.\n",
    "difficulty": "introductory",
    "url": "",
    "solutions": json.dumps(["n = int(input())\nprint(2 * n)\n"]),
    "starter_code": "",
    "input_output": json.dumps({"inputs": ["4\n", ["5", ""]], "outputs": ["8\n", ["10", ""]]}),
}
APPS_CALL = {
    "problem_id": 8,
    "question": "Sum two numbers.",
    "starter_code": "class Solution:\n    def add(self, a, b):\n",
    "solutions": json.dumps(
        ["class Solution:\n    def add(self, a: int, b: int) -> List[int]:\n        return [a + b]\n"]
    ),
    "input_output": json.dumps({"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[[3]], [7]]}),
}
LCB = {
    "question_title": "Double",
    "question_content": "Double a number.",
    "platform": "atcoder",
    "question_id": "abc900_a",
    "contest_id": "abc900",
    "contest_date": "2026-01-01T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps([{"input": "4\n", "output": "8\n", "testtype": "stdin"}]),
    "private_test_cases": packed([{"input": "5\n", "output": "10\n", "testtype": "stdin"}]),
    "metadata": "{}",
}
LCB_CALL = {
    **LCB,
    "question_id": "3900",
    "platform": "leetcode",
    "starter_code": "class Solution:\n    def pairs(self, n: int, names: List[str]) -> List[List[int]]:\n        ",
    "metadata": json.dumps({"func_name": "pairs"}),
    "public_test_cases": json.dumps([{"input": '2\n["a"]', "output": "[[2, 1]]", "testtype": "functional"}]),
    "private_test_cases": json.dumps([{"input": "3\n[]", "output": "[[3, 0]]", "testtype": "functional"}]),
}
CONTEST = {
    "name": "900_A. Double",
    "description": "Double a number.",
    "input_file": "",
    "output_file": "",
    "source": 2,
    "public_tests": {"input": ["4\n"], "output": ["8\n"]},
    "private_tests": {"input": ["5\n"], "output": ["10\n"]},
    "generated_tests": {"input": ["6\n", "7\n"], "output": ["12\n", "14\n"]},
    "solutions": {
        "language": [2, 1, 3],
        "solution": ["int main(){}", "print input()*2", "print(2 * int(input()))\n"],
    },
    "time_limit": {"seconds": 8, "nanos": 500_000_000},
}
CHOOSE = "def pairs(n, names):\n    return [(n, len(names))]\n"

JUDGED: list[Any] = [
    pytest.param("Mbpp", MBPP, None, "def double_all(ns):\n    return [2 * n for n in ns] or [0]\n", id="mbpp"),
    pytest.param("Mbpp", SANITIZED, None, "def check(n):\n    return True\n", id="mbpp-sanitized"),
    pytest.param("Mbpp", PLUS, None, "def double_all(ns):\n    return [2 * n for n in ns if n != 7]\n", id="mbpp-plus"),
    pytest.param("Apps", APPS, None, "print(8)\n", id="apps"),
    pytest.param("Apps", APPS_CALL, None, "def add(a, b):\n    return [3]\n", id="apps-call"),
    pytest.param("LiveCodeBench", LCB, "print(2 * int(input()))\n", "print(8)\n", id="lcb"),
    pytest.param("LiveCodeBench", LCB_CALL, CHOOSE, "def pairs(n, names):\n    return [[2, 1]]\n", id="lcb-call"),
    pytest.param("CodeContests", CONTEST, None, "n = int(input())\nprint(2 * n if n < 7 else 0)\n", id="codecontests"),
]  # fmt: skip


def task_of(problem_format: str, row: dict[str, Any], language: str | None = None) -> Task:
    return TASKS_OF[problem_format](ProblemRow("p.jsonl, line 7", row), language)


@pytest.mark.slow
@pytest.mark.parametrize(("problem_format", "row", "right", "wrong"), JUDGED)
def test_a_row_is_judged_by_all_of_its_tests(
    tmp_path: Path, problem_format: str, row: dict[str, Any], right: str | None, wrong: str
) -> None:
    made = problem_suite.make(suite_of(write_rows(tmp_path, [row]), problem_format), context_of(tmp_path))
    [task] = made.tasks()  # its own solution passes, an empty answer does not
    answers = [str(right or task.canonical), wrong, "import os\nos._exit(0)\n", "raise SystemExit(0)\n"]
    outcome = made.judge([task], [answers], ignore_progress)
    assert [record["passed"] for record in outcome.samples] == [True, False, False, False], outcome.samples


def test_no_test_of_a_row_is_lost() -> None:
    assert [(each.stdin, each.stdout) for each in task_of("CodeContests", CONTEST).examples] == [
        ("4\n", "8\n"), ("5\n", "10\n"), ("6\n", "12\n"), ("7\n", "14\n")
    ]  # fmt: skip
    assert len(task_of("LiveCodeBench", LCB).examples) == 2 and len(task_of("Apps", APPS).examples) == 2
    assert (
        "CALLS = [([2, ['a']], [[[2, 1]]]), ([3, []], [[[3, 0]]])]" in task_of("LiveCodeBench", LCB_CALL).test
    )
    assert all(
        test in task_of("Mbpp", MBPP).test for test in (*MBPP["test_list"], *MBPP["challenge_test_list"])
    )  # type: ignore[misc]


def test_a_statement_is_shown_and_not_run() -> None:
    task = task_of("Apps", APPS)
    assert "underline" in task.prompt and "underline" not in task.program("x = 1")
    java = task_of("CodeContests", CONTEST, "java")
    assert (
        java.prompt.startswith("// Double a number.\n")
        and java.canonical is None
        and java.program("x") == "x\n"
    )
    assert task_of("CodeContests", CONTEST, "cpp").canonical == "int main(){}"
    assert "class Solution" in task_of("LiveCodeBench", LCB_CALL).prompt


def test_the_limit_of_time_is_that_of_the_tests() -> None:
    assert time_for(1) == TEST_S and time_for(3) == 4 * TEST_S and time_for(1000) == ALL_TESTS_S
    assert time_for(1, 90.0) == 90.0
    assert len({time_for(number) for number in range(1, 500)}) < 8
    assert task_of("CodeContests", CONTEST).timeout_s == 34.0


@pytest.mark.parametrize(
    ("problem_format", "row", "sentence"),
    [
        pytest.param(
            "HumanEval",
            {"task_id": "HumanEval/0", "prompt": "", "entry_point": "f", "base_input": [], "plus_input": []},
            "row of inputs alone",
            id="evalplus-inputs",
        ),
        pytest.param("Mbpp", {**MBPP, "test_list": []}, "test_list must have at least one", id="mbpp-none"),
        pytest.param(
            "Mbpp", {**MBPP, "test_list": ["assert 1"]}, "must call the function", id="mbpp-no-call"
        ),
        pytest.param(
            "Mbpp", {**MBPP, "task_id": None}, "task_id must be a text or a whole number", id="mbpp-id"
        ),
        pytest.param(
            "Apps", {**APPS, "input_output": ""}, "as many inputs as outputs, and one", id="apps-none"
        ),
        pytest.param("Apps", {**APPS, "input_output": "{"}, "input_output is not JSON", id="apps-torn"),
        pytest.param(
            "Apps", {**APPS, "input_output": {"inputs": ["1"], "outputs": []}}, "as many", id="apps-odd"
        ),
        pytest.param(
            "Apps",
            {**APPS, "input_output": {"inputs": [1], "outputs": ["1"]}},
            "texts or lists",
            id="apps-int",
        ),
        pytest.param(
            "LiveCodeBench", {**LCB, "private_test_cases": "eJzz"}, "neither JSON nor what", id="lcb-torn"
        ),
        pytest.param(
            "LiveCodeBench",
            {**LCB, "private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(Path))).decode()},
            "it wants pathlib.Path",
            id="lcb-code",
        ),
        pytest.param("LiveCodeBench", {**LCB_CALL, "metadata": "{}"}, "must say func_name", id="lcb-name"),
        pytest.param(
            "LiveCodeBench",
            {**LCB_CALL, "private_test_cases": LCB["private_test_cases"]},
            "the same in all",
            id="lcb-mix",
        ),
        pytest.param("CodeContests", {**CONTEST, "input_file": "a.in"}, "input_file says", id="contest-file"),
        pytest.param(
            "CodeContests",
            {**CONTEST, "public_tests": {"input": ["1"], "output": []}},
            "as many texts",
            id="contest-odd",
        ),
        pytest.param(
            "CodeContests",
            {key: value for key, value in CONTEST.items() if not key.endswith("_tests")},
            "has a test, leave",
            id="contest-none",
        ),
    ],
)
def test_a_wrong_row_is_refused_by_its_field(problem_format: str, row: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=r"p\.jsonl, line 7: .*" + sentence):
        task_of(problem_format, row)


@pytest.mark.parametrize(
    ("problem_format", "row", "sentence"),
    [
        pytest.param("HumanEval", MBPP, "a row of the format Mbpp, the manifest says HumanEval", id="mbpp"),
        pytest.param("Mbpp", APPS, "a row of the format Apps, the manifest says Mbpp", id="apps"),
        pytest.param("Safim", LCB, "a row of the format LiveCodeBench", id="lcb"),
        pytest.param("HumanEvalX", CONTEST, "a row of the format CodeContests", id="contests"),
        pytest.param(
            "HumanEval",
            {
                "task_id": "BigCodeBench/0",
                "complete_prompt": "",
                "instruct_prompt": "",
                "test": "",
                "entry_point": "task_func",
            },
            "BigCodeBench, .*: run bigcodebench itself",
            id="bigcodebench",
        ),
        pytest.param(
            "HumanEval",
            {"prompt": "", "reference_code": "", "metadata": {}, "code_context": ""},
            "DS-1000, .*: run",
            id="ds",
        ),
        pytest.param(
            "Mbpp", {"code": "", "input": "1", "output": "1", "id": "sample_0"}, "CRUXEval", id="cruxeval"
        ),
        pytest.param(
            "HumanEval",
            {
                "task_id": "S/1",
                "prompt": "def f():\n",
                "suffix": "\n",
                "canonical_solution": "    return 1",
                "entry_point": "f",
                "test": "def check(f):\n    pass\n",
            },
            "the format HumanEvalInfilling, the manifest says HumanEval",
            id="a-suffix-is-not-lost",
        ),
    ],
)
def test_a_row_of_another_format_is_told_by_its_name(
    tmp_path: Path, problem_format: str, row: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        problem_suite.make(suite_of(write_rows(tmp_path, [row]), problem_format), context_of(tmp_path))
