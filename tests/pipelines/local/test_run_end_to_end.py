"""``daybreak run`` the whole way on real parts: Spark, BPE, MDS, Composer, HumanEval, Triton, the gateway.

One small manifest is run, killed, run on, run again with nothing changed, changed, and broken.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from daybreak_contracts import artifacts
from daybreak_pipelines.local import processes

pytestmark = [pytest.mark.slow, pytest.mark.needs("jvm", "torchrun", "triton")]
PACKAGES = (
    "json",
    "email",
    "asyncio",
    "http",
    "importlib",
    "logging",
    "unittest",
    "xml",
    "concurrent",
    "urllib",
)
"""Of the standard library: some 2.5 MB of Python, ten repositories."""

CODE, ENVIRONMENT = "python3 code", "my environment"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    # Any folder will do: shells, Java, kfp and Triton read other words in these names than we wrote.
    folder = tmp_path_factory.mktemp("whole") / "my 'first' model & $(exit)"
    folder.mkdir()
    (folder / ENVIRONMENT).symlink_to(sys.prefix)
    (folder / ".venv-triton").symlink_to(Path(sys.prefix).with_name(".venv-triton"))
    stdlib = Path(sysconfig.get_path("stdlib"))
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(stdlib / package, folder / CODE / package, ignore=ignore)
    yield folder


def _write_manifest(place: Path, **changes: object) -> Path:
    spec: dict[str, object] = {
        "output": {"uri": "out"},
        "data": {"sources": [{"name": "library", "directory": {"path": CODE}}], "languages": ["python"]},
        "tokenizer": {"train": {"vocabularySize": 1024, "sampleBytes": 4_000_000}},
        "model": {
            "custom": {"hiddenSize": 64, "layers": 2, "heads": 4, "keyValueHeads": 2, "intermediateSize": 128}
        },
        "training": {
            "objective": {"fillInTheMiddle": {}},
            "contextLength": 128,
            "tokens": 150_000,
        },
        "evaluation": {
            "suites": [{"name": "HumanEval", "maxTasks": 6}, {"name": "HeldOutCompletion", "maxTasks": 12}]
        },
        **changes,
    }
    manifest = {
        "apiVersion": "daybreak.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": "whole"},
        "spec": spec,
    }
    path = place / "run.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def _command(place: Path, *arguments: str) -> list[str]:
    return [str(place / ENVIRONMENT / "bin" / "python"), "-m", "daybreak_pipelines", *arguments]


def _daybreak(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(place, *arguments), cwd=place, capture_output=True, text=True, timeout=500, check=False
    )


def _content_digests(place: Path) -> dict[str, str]:
    """Digest of the bytes of every artifact that is meant to be the same in every run."""
    found = {}
    for manifest in sorted((place / "out").glob("*/*/manifest.json")):
        step = manifest.parent.parent.name
        if step in {"documents", "tokenizer", "shards"}:
            found[step] = artifacts.load(str(manifest.parent)).content_digest
    return found


def _kill_during(place: Path, step: str, number: signal.Signals) -> int:
    """Start a run, wait until a step is under way, end the launcher by a signal; return its exit code."""
    (place / "out" / ".work" / "progress.json").unlink(missing_ok=True)
    # as from a terminal, also where the tests themselves run in the background of a script, which ignores SIGINT
    child = subprocess.Popen(
        _command(place, "run", "run.yaml"),
        cwd=place,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - it has one thread
    )
    assert child.stderr is not None
    identity = processes.environment_for({}, launcher_pid=child.pid, results=place, progress=place)[
        "DAYBREAK_LAUNCHER"
    ]
    progress = place / "out" / ".work" / "progress.json"
    deadline = time.monotonic() + 450
    while not (progress.exists() and json.loads(progress.read_text())["step"] == step):
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < deadline, f"{step} never began"
        time.sleep(0.05)
    os.kill(child.pid, number)
    child.wait(60)
    child.stderr.close()
    while processes.members(identity):
        assert time.monotonic() < deadline, "something of the run is left"
        time.sleep(0.1)
    return child.returncode


def test_killed_interrupted_and_run_on_it_ends_in_a_served_model(place: Path) -> None:
    _write_manifest(place)
    assert _kill_during(place, "documents", signal.SIGKILL) == -signal.SIGKILL
    assert _kill_during(place, "train", signal.SIGINT) == 130
    before = _content_digests(place)
    assert set(before) == {"documents", "tokenizer", "shards"}

    done = _daybreak(place, "run", "run.yaml")
    assert done.returncode == 0, done.stderr
    assert "Clean documents: nothing changed" in done.stderr
    assert _content_digests(place) == before
    record = json.loads((place / "out" / "run.json").read_text())
    assert record["model"]["uri"].startswith(str(place / "out" / "export"))
    metrics = {score["metric"] for score in record["results"]["evaluate"]["scores"]}
    assert "humaneval/pass@1" in metrics
    page = (place / "out" / "report.html").read_text()
    assert "Asked of the served model" in page
    assert "Serving was not tried" not in page


def test_a_second_run_with_nothing_changed_does_nothing(place: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in (place / "out").glob("*/*/manifest.json")}
    done = _daybreak(place, "run", "run.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nothing changed") == 7
    assert {path: path.stat().st_mtime_ns for path in (place / "out").glob("*/*/manifest.json")} == files


@pytest.mark.parametrize("command", ["run", "data"])
def test_a_manifest_without_a_model_makes_its_data_alone(place: Path, command: str) -> None:
    changes = (
        {} if command == "data" else {"model": None, "training": {"contextLength": 128}, "evaluation": None}
    )
    path = _write_manifest(place, **changes)
    record = (place / "out" / "run.json").read_text()
    done = _daybreak(place, command, path.name)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nothing changed") == 4, "the same data as the run's that made a model"
    assert "4/4" in done.stderr
    places = dict(line.split(":", 1) for line in done.stdout.splitlines())
    assert list(places) == ["documents", "x-ray", "tokenizer", "shards"]
    assert Path(places["x-ray"].strip()).read_text().startswith("<!doctype html>")
    assert (place / "out" / "run.json").read_text() == record, "what the finished run says stays"


def test_a_gate_that_fails_publishes_no_model(place: Path) -> None:
    _write_manifest(
        place,
        evaluation={
            "suites": [{"name": "HumanEval", "maxTasks": 6}],
            "gates": [{"metric": "humaneval/pass@1", "min": "0.99"}],
        },
    )
    done = _daybreak(place, "run", "run.yaml")
    assert done.returncode == 2
    assert "GateFailed" in done.stderr
    assert json.loads((place / "out" / "run.json").read_text())["model"] is None
    refused = _daybreak(place, "serve", "out")
    assert refused.returncode == 2
    assert "did not pass its gates" in refused.stderr


def test_a_tampered_shard_is_made_anew(place: Path) -> None:
    _write_manifest(place)
    shard = next((place / "out").glob("shards/*/train/**/*.mds"))
    good = shard.read_bytes()
    shard.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    done = _daybreak(place, "run", "run.yaml")
    assert done.returncode == 0, done.stderr
    assert shard.read_bytes() == good


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"trainnig": {}}, "trainnig", id="an-unknown-field"),
        pytest.param(
            {"data": {"sources": [{"name": "x", "directory": {"path": "nowhere"}}]}},
            "nowhere",
            id="a-missing-path",
        ),
        pytest.param(
            {
                "data": {
                    "sources": [{"name": "library", "directory": {"path": CODE}}],
                    "languages": ["rust"],
                }
            },
            "language",
            id="no-document-left",
        ),
    ],
)
def test_bad_input_is_named_and_nothing_is_published(
    place: Path, changes: dict[str, object], expected: str
) -> None:
    output = f"bad-{expected}"
    _write_manifest(place, output={"uri": output}, **changes)
    done = _daybreak(place, "run", "run.yaml")
    _is_refused(done, expected)
    assert not (place / output / "run.json").exists()


def test_a_vocabulary_larger_than_the_data_supports_leaves_what_was_published(place: Path) -> None:
    """Beside the finished run: its documents serve, and its record stays."""
    _write_manifest(place, tokenizer={"train": {"vocabularySize": 1_000_000, "sampleBytes": 4_000_000}})
    record = (place / "out" / "run.json").read_text()
    done = _daybreak(place, "run", "run.yaml")
    _is_refused(done, "vocabulary")
    assert "Clean documents: nothing changed" in done.stderr
    assert (place / "out" / "run.json").read_text() == record


def _is_refused(done: subprocess.CompletedProcess[str], expected: str) -> None:
    assert done.returncode == 2, done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
