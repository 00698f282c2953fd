"""The back end ``Job``: the data pipeline in something like a restricted pod, against a server that takes results."""

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import arguments, launch, storage
from daybreak_contracts.names import DATA_PIPELINE, MODEL_PIPELINE
from daybreak_contracts.resources import TrainingRun
from daybreak_pipelines.cli import main
from daybreak_pipelines.local import job, processes
from tests.contracts.api_server import Api, serve
from tests.plugins.needs import starts

NAMELESS = 12345
"""A user id without a name: a namespace may give its pods any."""
WAIT_S = 300.0
DATA_ARGS = ("documents_args", "xray_args", "tokenizer_args", "shards_args")


@dataclass
class Pod:
    """Something like a restricted pod: no HOME, no name for the user, nothing to write on but ``work``."""

    folder: Path
    api: Api
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def start(self) -> subprocess.Popen[str]:
        (self.work / "job" / "progress.json").unlink(missing_ok=True)  # of the pod before
        file = self.folder / "parameters.json"
        file.write_text(json.dumps(self.parameters))
        command = [sys.executable, "-m", "daybreak_pipelines", "job"]
        command += ["--pipeline", DATA_PIPELINE, "--parameters", str(file)]
        environment = {"PATH": "/usr/bin:/bin", **self.api.environment}
        if "JAVA_HOME" in os.environ:
            environment["JAVA_HOME"] = os.environ["JAVA_HOME"]
        log = (self.folder / "pod.log").open("a")
        with log:
            return subprocess.Popen(
                [*as_nobody(), *command], env=environment, stdout=log, stderr=log, text=True
            )

    def log(self) -> str:
        return (self.folder / "pod.log").read_text()

    def held(self, key: str) -> dict[str, Any]:
        return dict(json.loads(self.api.config_maps["team/results"][key]))

    def wait_for_progress(self, pod: subprocess.Popen[str]) -> None:
        file, deadline = self.work / "job" / "progress.json", time.monotonic() + WAIT_S
        while not file.exists():
            assert pod.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)


def as_nobody() -> list[str]:
    """Return the command that runs another as a user without a name, where we may; it may still read our files."""
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        return []
    ids = [f"--reuid={NAMELESS}", f"--regid={NAMELESS}", "--clear-groups"]
    return ["setpriv", *ids, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serve(tmp_path / "account") as api:
        yield api


@pytest.fixture
@starts("jvm", "torchrun")
def pod(tmp_path: Path, api: Api, run: TrainingRun) -> Pod:
    source = Path(sysconfig.get_path("stdlib")) / "json"
    shutil.copytree(source, tmp_path / "code", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("work", "out"):
        (tmp_path / name).mkdir()
        if as_nobody():
            os.chown(tmp_path / name, NAMELESS, NAMELESS)
    spec = run.spec.model_dump(mode="json", by_alias=True)
    spec["data"] = {
        "sources": [{"name": "here", "directory": {"path": str(tmp_path / "code")}}],
        "languages": ["python"],
    }
    spec["tokenizer"] = {"train": {"vocabularySize": 512, "sampleBytes": 4_000_000}}
    small = TrainingRun.model_validate({**run.model_dump(mode="json", by_alias=True), "spec": spec})
    settings = arguments.RunSettings(str(tmp_path / "out"), str(tmp_path / "work"), 2)
    return Pod(tmp_path, api, arguments.data_parameters(small, settings))


@pytest.mark.slow
def test_a_job_is_killed_stopped_and_goes_on(pod: Pod) -> None:
    """A step that is killed is told of; a pod that is stopped is no failure; the next pod makes what is missing."""
    first = pod.start()
    pod.wait_for_progress(first)
    identity = launch.identity_of(first.pid)
    assert identity is not None
    (step,) = [pid for pid in processes.members(identity) if b"executor_main" in command_of(pid)][-1:]
    os.kill(step, signal.SIGKILL)
    assert first.wait(WAIT_S) == 1, pod.log()
    assert "documents: ended without a result" in pod.held("documents.json")["error"]["message"]
    assert processes.members(identity) == []

    pod.api.config_maps["team/results"].clear()
    second = pod.start()
    pod.wait_for_progress(second)
    identity = launch.identity_of(second.pid)
    assert identity is not None
    second.send_signal(signal.SIGTERM)
    assert second.wait(60) == 75, pod.log()
    assert "stopped; a new pod goes on" in pod.log()
    assert processes.members(identity) == []
    assert "documents.json" not in pod.api.config_maps["team/results"]

    assert pod.start().wait(WAIT_S) == 0, pod.log()
    for name in ("documents", "xray", "tokenizer", "shards"):
        result = pod.held(f"{name}.json")["result"]
        assert result["uri"].startswith(pod.parameters["output"])
        assert storage.exists(result["uri"])
        assert f"{name}: done" in pod.log()
    assert set(pod.held("progress.json")) == {"step", "activity", "done", "total", "updated"}
    assert list(pod.work.iterdir()) == [], "the volume may outlive the pod"


@pytest.mark.slow
def test_a_step_that_fails_gives_its_code_and_its_words(pod: Pod) -> None:
    given = json.loads(pod.parameters["documents_args"])
    given["data"]["sources"][0]["directory"]["path"] = "/nowhere"
    pod.parameters["documents_args"] = json.dumps(given)
    assert pod.start().wait(WAIT_S) == 2, pod.log()
    assert "/nowhere" in pod.held("documents.json")["error"]["message"]
    assert pod.log().splitlines()[-1].endswith(pod.held("documents.json")["error"]["message"])


@pytest.fixture
def inside(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    for name, value in api.environment.items():
        monkeypatch.setenv(name, value)
    return api


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(None, "not found", id="no-file"),
        pytest.param("{", "is no JSON file", id="no-json"),
        pytest.param("[]", "must hold an object, holds list", id="no-object"),
        pytest.param('{"typo": 1}', "unknown: typo", id="an-unknown-parameter"),
        pytest.param(
            "{}",
            "missing: documents_args, output, shards_args, tokenizer_args, xray_args",
            id="missing-parameters",
        ),
        pytest.param(
            json.dumps({**dict.fromkeys(DATA_ARGS, "{}"), "output": "o", "work_dir": "/proc/work"}),
            "work_dir /proc/work: cannot be written",
            id="nowhere-to-work",
        ),
    ],
)
def test_wrong_parameters_are_refused_and_told(
    inside: Api, tmp_path: Path, text: str | None, words: str, capsys: Any
) -> None:
    file = tmp_path / "parameters.json"
    if text is not None:
        file.write_text(text)
    assert main(["job", "--pipeline", DATA_PIPELINE, "--parameters", str(file)]) == 2
    assert words in capsys.readouterr().err
    error = json.loads(inside.config_maps["team/results"]["documents.json"])["error"]
    assert words in error["message"]


def test_the_model_pipeline_is_told_of_at_its_first_step(inside: Api, tmp_path: Path) -> None:
    main(["job", "--pipeline", MODEL_PIPELINE, "--parameters", str(tmp_path / "none")])
    assert set(inside.config_maps["team/results"]) == {"export.json"}


def test_everything_that_is_written_lies_below_the_work_folder(tmp_path: Path) -> None:
    environment = job.environment_in(
        job.Folders(tmp_path), {"HOME": "/root", "PATH": "/bin", "USER": "somebody"}
    )
    assert environment["HOME"] == str(tmp_path / "home")
    assert environment["TMPDIR"] == str(tmp_path / "tmp")
    assert environment["USER"] == "somebody"
    assert environment["LOGNAME"] == "daybreak"


def test_pods_on_one_volume_do_not_clear_each_others_folders(tmp_path: Path) -> None:
    first, second = (job._fresh_folders(tmp_path, name) for name in ("a-1", "b-1"))
    (first.results / "documents.json").write_text("{}")
    job._fresh_folders(tmp_path, "b-1")
    assert (first.results / "documents.json").exists()
    assert first.root != second.root
    assert job._fresh_folders(tmp_path, "").root == tmp_path / "job"


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
