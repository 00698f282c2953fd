"""``daybreak plan``: what it answers a person and a program, and what starting it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from daybreak_contracts.planning.throughput import Throughput
from daybreak_pipelines.training_plan import command
from daybreak_pipelines.training_plan.command import Question, plan_manifest

TOKENS = 4_096_000
MANIFEST = """
apiVersion: daybreak.dev/v1alpha1
kind: TrainingRun
metadata: {name: a}
spec:
  output: {uri: runs/a}
  data: {sources: [{name: a, directory: {path: .}}]}
  model: {size: 1m}
  training: {tokens: 4096000, contextLength: 256}
"""


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.yaml").write_text(MANIFEST)
    return tmp_path / "run.yaml"


def test_a_program_reads_the_plan(manifest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan_manifest(manifest, Question(tokens=TOKENS), as_json=True) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["name"], plan["size"], plan["tokens"]) == ("a", "1m", TOKENS)
    assert "nodes_for_deadline" not in plan


@pytest.mark.parametrize(
    ("deadline_s", "nodes", "words"),
    [(1e6, 1, "this machine is enough"), (60.0, None, "this machine is too slow")],
)
def test_a_deadline_is_answered_alike_in_words_and_json(
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    deadline_s: float,
    nodes: int | None,
    words: str,
) -> None:
    """The JSON said that no number of nodes was enough where the words said that this machine is."""
    speed = Throughput(4_500.0, 5_000.0, 5_500.0, "measured", start_s=10.0)
    monkeypatch.setattr(command, "measured", lambda *_: speed)
    question = Question(tokens=TOKENS, measure=True, deadline_s=deadline_s)
    plan_manifest(manifest, question, as_json=True)
    assert json.loads(capsys.readouterr().out)["nodes_for_deadline"] == nodes
    plan_manifest(manifest, question, as_json=False)
    assert words in capsys.readouterr().out


def test_help_loads_no_resource() -> None:
    code = "import sys; from daybreak_pipelines.cli import parser; parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"pydantic", "numpy", "scipy", "kfp", "torch"}
