"""The evaluate step, whole: a tiny model, both suites, the artifact, a second run, gates, wrong input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import artifacts
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.run import Gate, Suite
from daybreak_contracts.steps import EvaluateArgs, EvaluateResult
from daybreak_evaluate.evaluate import run_evaluate
from tests.evaluate.suites.own_problems import DOUBLE, LAST, suite_of, write_rows

SUITES = (
    Suite(name="HumanEval", samples_per_task=2, max_tasks=6),
    Suite(name="HeldOutCompletion", max_tasks=4),
)


def arguments(tmp_path: Path, model: str, shards: str, **changes: Any) -> EvaluateArgs:
    values = {
        "output": str(tmp_path / "out"),
        "work_dir": str(tmp_path / "work"),
        "suites": SUITES,
        "cores": 2,
    }
    return EvaluateArgs(**{**values, "model": model, "shards": shards, **changes})


class Seen(Progress):
    """Keeps the activities."""

    def __init__(self) -> None:
        super().__init__("evaluate")
        self.activities: list[str] = []

    def report(self, activity: str, done: float = 0, total: float = 0) -> None:
        self.activities.append(activity)


@pytest.mark.slow
def test_the_step_scores_commits_and_is_not_done_twice(
    tmp_path: Path, model_uri: str, shards_uri: str
) -> None:
    seen = Seen()
    result = run_evaluate(arguments(tmp_path, model_uri, shards_uri), seen)
    assert [score.metric for score in result.scores] == [
        "humaneval/pass@1",
        "held-out/next-line-exact",
        "held-out/next-line-similarity",
        "held-out/middle-exact",
        "held-out/middle-similarity",
    ]
    assert [score.num_tasks for score in result.scores] == [6, 4, 4, 4, 4]
    assert result.scores[0].value == 0.0  # it knows nothing, and the score says so
    assert 0.0 < result.scores[2].value < 0.9
    assert "humaneval (1 of 2): judging HumanEval" in seen.activities
    manifest = artifacts.load(result.uri)
    assert [entry.path for entry in manifest.files] == [
        "protocol.json",
        "samples/held-out.jsonl",
        "samples/humaneval.jsonl",
        "scores.html",
        "scores.json",
    ]
    samples = [
        json.loads(line) for line in Path(result.uri, "samples/humaneval.jsonl").read_text().splitlines()
    ]
    assert len(samples) == 12 and all(sample["result"].startswith("failed: ") for sample in samples)
    protocol = json.loads(Path(result.uri, "protocol.json").read_text())
    assert protocol["suites"]["humaneval"]["sandbox"].startswith("tier ")
    assert protocol["suites"]["humaneval"]["temperature"] == 0.2

    gate = Gate(metric="humaneval/pass@1", min="0.15")
    again = run_evaluate(arguments(tmp_path, model_uri, shards_uri, gates=(gate,)), Seen())
    assert again.cached and again.uri == result.uri
    assert again.failed_gates == ("humaneval/pass@1 is 0, below the gate's minimum of 0.15",)

    elsewhere = arguments(tmp_path / "elsewhere", model_uri, shards_uri)
    same = run_evaluate(elsewhere, Seen())
    assert artifacts.load(same.uri).content_digest == manifest.content_digest


def test_wrong_input_is_refused_before_the_work(tmp_path: Path, model_uri: str, shards_uri: str) -> None:
    gate = Gate(metric="humaneval/pass@10", min="0.1")
    with pytest.raises(
        UserError, match="no suite of this run reports it, known are humaneval/pass@1, held-out"
    ):
        run_evaluate(arguments(tmp_path, model_uri, shards_uri, gates=(gate,)), Seen())
    with pytest.raises(UserError, match="suites is empty"):
        run_evaluate(arguments(tmp_path, model_uri, shards_uri, suites=()), Seen())
    with pytest.raises(UserError, match="named twice"):
        twice = (Suite(name="HumanEval"), Suite(name="HumanEval", samples_per_task=5))
        run_evaluate(arguments(tmp_path, model_uri, shards_uri, suites=twice), Seen())
    with pytest.raises(ArtifactError, match="no artifact here"):
        run_evaluate(arguments(tmp_path, str(tmp_path / "none"), shards_uri), Seen())
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*.json"))


@pytest.mark.slow
def test_a_file_of_the_users_own_is_a_suite_of_the_step(
    tmp_path: Path, model_uri: str, shards_uri: str
) -> None:
    own = suite_of(write_rows(tmp_path, [DOUBLE, LAST]), licence="MIT")
    gate = Gate(metric="our-own/pass@1", min="0.5")
    first = run_evaluate(arguments(tmp_path, model_uri, shards_uri, suites=(own,), gates=(gate,)), Seen())
    assert [(score.metric, score.num_tasks) for score in first.scores] == [("our-own/pass@1", 2)]
    assert first.failed_gates == ("our-own/pass@1 is 0, below the gate's minimum of 0.5",)
    stored = [file for file in Path(first.uri).rglob("*") if file.is_file()]
    assert not any("def check" in file.read_text() for file in stored), "the file stays the user's"
    other = own.model_copy(update={"stop_words": ("x",)})
    again = run_evaluate(arguments(tmp_path, model_uri, shards_uri, suites=(other,)), Seen())
    assert again.uri != first.uri, "what the suite depends on is part of the digest"


@pytest.mark.slow
def test_a_tampered_model_is_refused(tmp_path: Path, model_uri: str, shards_uri: str) -> None:
    copy = tmp_path / "model"
    subprocess.run(["cp", "-r", model_uri, str(copy)], check=True)
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"evil")
    with pytest.raises(ArtifactError, match="was changed after it was committed"):
        run_evaluate(arguments(tmp_path, str(copy), shards_uri), Seen())


@pytest.mark.slow
def test_the_component_runs_from_the_command_line(tmp_path: Path, model_uri: str, shards_uri: str) -> None:
    args = arguments(tmp_path, model_uri, shards_uri, suites=(Suite(name="HeldOutCompletion", max_tasks=2),))
    (tmp_path / "args.json").write_text(args.model_dump_json())
    command = [sys.executable, "-m", "daybreak_evaluate", "evaluate"]
    command += ["--args-file", str(tmp_path / "args.json"), "--result", str(tmp_path / "result.json")]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    result = EvaluateResult.model_validate(json.loads((tmp_path / "result.json").read_text())["result"])
    assert len(result.scores) == 4 and Path(result.uri, "scores.html").is_file()
