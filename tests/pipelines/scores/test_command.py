"""``daybreak evaluate``: its grammar, and two models compared from files, folders and runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daybreak_contracts import storage
from daybreak_contracts.names import STEP_EVALUATE
from daybreak_pipelines import cli
from daybreak_pipelines.local import record
from tests.evaluate.loopback import Server, said


def results(path: Path, *passed: bool) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"task_id": f"t{number}", "completion": "x", "result": "r", "passed": one}
        for number, one in enumerate(passed)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def finished_run(output: Path, evaluation: Path | None) -> None:
    found = {} if evaluation is None else {STEP_EVALUATE: {"uri": str(evaluation)}}
    record.write(str(output), record.RunRecord(name="r", model=None, results=found, seconds={}))


def test_a_run_is_compared_with_a_result_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results(tmp_path / "scores" / "samples" / "humaneval.jsonl", True, False, False)
    finished_run(tmp_path / "run", tmp_path / "scores")
    file = results(tmp_path / "b_results.jsonl", True, True, True)
    page = tmp_path / "page.html"
    assert cli.main(["evaluate", "--compare", str(tmp_path / "run"), str(file), "--page", str(page)]) == 0
    said = capsys.readouterr().out
    assert "humaneval/pass@1: B is better on 2, worse on 0, equal on 1 of 3 tasks, p = 0.500" in said
    assert "t1" in storage.read_bytes(str(page)).decode()
    assert cli.main(["evaluate", "--compare", str(file), str(file), "--page", str(page), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["numEqual"] == 3


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("nowhere", "no evaluation here"),
        ("data", "was not evaluated"),
        ("strangers.jsonl", "no task in common"),
    ],
)
def test_what_cannot_be_compared_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: str, words: str
) -> None:
    file = results(tmp_path / "b_results.jsonl", True)
    finished_run(tmp_path / "data", None)
    (tmp_path / "strangers.jsonl").write_text('{"task_id": "q", "passed": true}\n')
    assert cli.main(["evaluate", "--compare", str(file), str(tmp_path / other)]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--k", "0"], "must be numbers from 1"),
        (["--k", "x"], "must be numbers"),
        (["--memory", "2 gigabytes"], "must be a size"),
        (["--memory", "0"], "must be a size"),
        (["--timeout", "0"], "must be a duration"),
        (["--workers", "-2"], "must be a whole number"),
        (["--compare", "a", "b"], "not allowed with"),
    ],
)
def test_wrong_options_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["evaluate", "--samples", "f", *arguments])
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--sanitize"], "--sanitize means nothing here, it is of --samples FILE"),
        (["--compare", "a", "b", "--max-tasks", "3"], "it is of RUN, MODEL or URL"),
        (["run", "--suite", "humanevl"], "no suite is named humanevl (did you mean"),
        (
            ["run", "--suite", "a b"],
            "no suite is named a b, registered here are HumanEval, HeldOutCompletion",
        ),
        (["nowhere"], "no finished run here"),
        (
            ["http://127.0.0.1:9/ x", "--model", "m", "--max-tasks", "1", "--suite", "held-out"],
            "held-out rows",
        ),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_run_without_a_model_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished_run(tmp_path / "run", None)
    assert cli.main(["evaluate", str(tmp_path / "run"), "--output", str(tmp_path / "out")]) == 2
    assert "the run made data alone" in capsys.readouterr().err


@pytest.mark.slow
def test_a_server_is_scored_and_its_folder_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    server = Server(lambda number, body: said("    return 1\n"))
    try:
        out = str(tmp_path / "out")
        assert cli.main(["evaluate", server.url, "--max-tasks", "2", "--output", out, "--workers", "1"]) == 0
    finally:
        server.close()
    assert server.headers[0]["authorization"] == "Bearer secret-key"
    assert "humaneval/pass@1: " in capsys.readouterr().out
    assert cli.main(["evaluate", "--compare", out, out, "--page", str(tmp_path / "p.html")]) == 0
    assert "of 2 tasks, nothing to test" in capsys.readouterr().out


def test_a_file_of_samples_needs_no_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text('{"task_id": "HumanEval/0", "completion": null}\n')
    assert cli.main(["evaluate", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["failed"] == {"NoAnswer": 1}
