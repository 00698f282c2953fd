"""A file of the user's own, through everything: read, tested itself, asked, judged, scored, recorded."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import UserError
from daybreak_evaluate.runtimes import registry as runtimes
from daybreak_evaluate.suites import problem_suite, registry
from daybreak_evaluate.suites.protocol import Report, SuiteOutcome, ignore_progress
from daybreak_evaluate.suites.task_suite import TaskSuite
from tests.evaluate.suites.own_problems import DOUBLE, LAST, Knows, context_of, suite_of, write_rows

RIGHT = {"Python/0": DOUBLE["canonical_solution"] + "\nprint(1)\n", "Python/1": "    return items[0]\n"}


def play(suite: TaskSuite, answers: dict[str, str], report: Report = ignore_progress) -> SuiteOutcome:
    completer = Knows(lambda prompt: answers[prompt.key])
    tasks = suite.tasks(report)
    prompts, sampling = suite.prompts(tasks, completer, report)
    return suite.judge(tasks, completer.complete(prompts, sampling, report), report)


@pytest.mark.slow
def test_a_file_is_read_tested_asked_and_scored(tmp_path: Path) -> None:
    file = write_rows(tmp_path, [DOUBLE, LAST])
    made = problem_suite.make(suite_of(file, licence="MIT", samples_per_task=2), context_of(tmp_path))
    assert made.metrics == ("our-own/pass@1",)
    outcome = play(made, RIGHT)
    [score] = outcome.scores
    assert (score.metric, score.value, score.num_tasks) == ("our-own/pass@1", 0.5, 2)
    assert [(sample["task_id"], sample["language"], sample["passed"]) for sample in outcome.samples] == [
        ("Python/0", "python", True),
        ("Python/0", "python", True),
        ("Python/1", "python", False),
        ("Python/1", "python", False),
    ]
    protocol = outcome.protocol
    assert protocol["licence"] == "MIT" and protocol["format"] == "HumanEvalX"
    assert protocol["dataSha256"] == suite_of(file).problems.sha256  # type: ignore[union-attr]
    assert protocol["runtimes"]["python"]["isolation"] == "separate"
    assert protocol["selfTest"] == {"tasks": 2, "withoutCanonical": 0, "leftOut": {}}
    assert DOUBLE["prompt"] not in str(protocol), "the file stays the user's"


WRONG: list[Any] = [
    pytest.param({"canonical_solution": "    return n\n"}, "its own solution does not pass", id="canonical"),
    pytest.param({"test": "def check(f):\n    pass\ncheck(double)\n"}, "an empty answer passes", id="no-test"),
    pytest.param(
        {"test": "def check(f):\n    try:\n        f(1)\n    except BaseException:\n        pass\n"
                 "    else:\n        assert f(1) == 2\ncheck(double)\n"},
        "a cheat that .* passes", id="cheat",
    ),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "reason"), WRONG)
def test_a_task_that_tells_nothing_is_left_out_by_name(
    tmp_path: Path, fault: dict[str, str], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = write_rows(tmp_path, [{**DOUBLE, **fault}, LAST])
    with caplog.at_level(logging.WARNING):
        outcome = play(problem_suite.make(suite_of(file), context_of(tmp_path)), RIGHT)
    assert [score.num_tasks for score in outcome.scores] == [1]
    [(name, found)] = outcome.protocol["selfTest"]["leftOut"].items()
    assert name == "Python/0"
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(found)
    assert "task left out" in caplog.text


@pytest.mark.slow
def test_a_file_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    file = write_rows(tmp_path, [{**DOUBLE, "canonical_solution": "    return n\n"}])
    with pytest.raises(UserError, match=r"our-own: none of 1 tasks passes its self-test; Python/0: its own"):
        problem_suite.make(suite_of(file), context_of(tmp_path)).tasks()


@pytest.mark.slow
def test_what_was_found_out_is_kept_by_the_tasks_own_text(tmp_path: Path) -> None:
    seen: list[str] = []

    def report(activity: str, done: float, total: float) -> None:
        seen.append(activity)

    file = write_rows(tmp_path, [DOUBLE, LAST])
    problem_suite.make(suite_of(file), context_of(tmp_path)).tasks(report)
    assert seen
    seen.clear()
    problem_suite.make(suite_of(file), context_of(tmp_path)).tasks(report)
    assert seen == [], "nothing is judged a second time"
    write_rows(tmp_path, [DOUBLE, {**LAST, "canonical_solution": "    return items.pop()\n"}])
    problem_suite.make(suite_of(file), context_of(tmp_path)).tasks(report)
    assert len(seen) == 5, "the task that changed alone: its solution, an empty answer and three cheats"


def test_a_language_without_a_runtime_is_refused_before_any_work(tmp_path: Path) -> None:
    file = write_rows(tmp_path, [{**DOUBLE, "task_id": "x", "entry_point": "double"}])
    made = problem_suite.make(suite_of(file, "HumanEval", language="cobol"), context_of(tmp_path))
    with pytest.raises(UserError, match=r"no runtime runs cobol, known are .*python.*daybreak\.runtimes"):
        made.tasks()
    assert "python" in runtimes.languages()


@pytest.mark.slow
def test_the_users_stop_words_end_an_answer(tmp_path: Path) -> None:
    file = write_rows(tmp_path, [DOUBLE])
    made = problem_suite.make(suite_of(file, stop_words=("# end",)), context_of(tmp_path))
    answer = "    value = 2 * n\n\n\n#\n    return value\n# end\nraise ValueError\n"
    assert [sample["passed"] for sample in play(made, {"Python/0": answer}).samples] == [True]


def test_the_fingerprint_says_what_scores_depend_on(tmp_path: Path) -> None:
    file = write_rows(tmp_path, [DOUBLE])
    one = problem_suite.make(suite_of(file), context_of(tmp_path)).fingerprint
    others = [
        problem_suite.make(suite_of(file, stop_words=("x",)), context_of(tmp_path)).fingerprint,
        problem_suite.make(suite_of(file, max_tasks=1), context_of(tmp_path)).fingerprint,
        problem_suite.make(suite_of(file, samples_per_task=3), context_of(tmp_path)).fingerprint,
        problem_suite.make(suite_of(write_rows(tmp_path, [LAST])), context_of(tmp_path)).fingerprint,
    ]
    assert all(other != one for other in others)


def test_names_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    file = write_rows(tmp_path, [DOUBLE])
    with pytest.raises(
        UserError, match="humaneval is a registered suite, give your own problems another name"
    ):
        registry.make(suite_of(file, name="humaneval"), context_of(tmp_path))
    unknown = suite_of(file).model_copy(update={"problems": None, "name": "HumanEvl"})
    with pytest.raises(
        UserError,
        match=r"no suite is named HumanEvl \(did you mean HumanEval\?\), registered here are HumanEval, Held",
    ):
        registry.make(unknown, context_of(tmp_path))


def test_an_id_twice_and_a_language_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"own\.jsonl: Python/0 stands in it twice"):
        problem_suite.make(suite_of(write_rows(tmp_path, [DOUBLE, DOUBLE])), context_of(tmp_path))
    with pytest.raises(UserError, match=r"own\.jsonl: no problem in go, it has python"):
        problem_suite.make(suite_of(write_rows(tmp_path, [DOUBLE]), language="go"), context_of(tmp_path))
