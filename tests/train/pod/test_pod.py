"""A training pod: who reports what, who answers for progress, what a stop and a silent death come to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.metrics_snapshot import TrainerSnapshot
from daybreak_contracts.ports import free_port
from daybreak_contracts.result_reporter import ProgressPoster, reporter_from
from daybreak_train.pod import __main__ as pod
from daybreak_train.pod import launch, metrics_file, progress_server
from daybreak_train.pod.progress_relay import Relay
from tests.contracts.api_server import Api, serve
from tests.plugins.needs import starts

WAIT_S = 240.0


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with serve(tmp_path / "account") as api:
        api.config_maps = {"team/run-train-3": {}}
        api.environment["DAYBREAK_RESULTS_CONFIGMAP"] = "team/run-train-3"
        yield api


def held(api: Api, key: str = "train.json") -> Any:
    return json.loads(api.config_maps["team/run-train-3"][key])


def args_file(made: Any, folder: Path, out: Path, **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    args = made.args(out, **more).model_copy(update={"work_dir": str(folder / "scratch")})
    file = folder / "args.json"
    file.write_text(args.model_dump_json())
    return file


TRAINER = """
import json, os, sys, time
result, said, code = sys.argv[1:]
if "DAYBREAK_PROGRESS_FILE" in os.environ:
    state = {"step": "train", "activity": "loss 2.0", "done": 1, "total": 4, "seconds": 1}
    open(os.environ["DAYBREAK_PROGRESS_FILE"], "w").write(json.dumps(state))
assert "DAYBREAK_RESULTS_CONFIGMAP" not in os.environ
assert os.environ["HOME"] and os.environ["USER"]
if said:
    open(result, "w").write(said)
sys.exit(int(code))
"""


def says(said: dict[str, Any] | None, code: int) -> pod.Command:
    """A trainer that leaves this and ends so."""
    text = json.dumps(said) if said is not None else ""

    def command(args: Path, result: Path, nproc: int, environ: Mapping[str, str] | None = None) -> list[str]:
        return [sys.executable, "-c", TRAINER, str(result), text, str(code)]

    return command


def failure(code: int, message: str) -> dict[str, Any]:
    return {"error": {"exitCode": code, "kind": "E", "message": message, "traceback": ""}}


class TestReporting:
    """A trainer of a few lines in torchrun's place."""

    @pytest.fixture(autouse=True)
    def signals(self) -> Iterator[None]:
        before = signal.getsignal(signal.SIGTERM)
        yield
        signal.signal(signal.SIGTERM, before)

    def run(self, api: Api, file: Path, command: pod.Command, node: int = 0) -> int:
        nodes = {"PET_NNODES": "2", "PET_NODE_RANK": str(node), "DAYBREAK_PROGRESS_PORT": "0"}
        waits: list[float] = []
        return pod.run_pod(
            file, {"PATH": os.environ["PATH"], **api.environment, **nodes}, command, waits.append
        )

    @pytest.fixture
    def file(self, made: Any, tmp_path: Path) -> Path:
        return args_file(made, tmp_path / "pod", tmp_path / "out")

    def test_the_first_node_hands_its_result_over(self, api: Api, file: Path) -> None:
        assert self.run(api, file, says({"result": {"uri": "u"}}, 0)) == 0
        assert held(api) == {"result": {"uri": "u"}}

    def test_another_node_has_no_result_to_hand_over(self, api: Api, file: Path) -> None:
        (file.parent / "scratch" / "pod").mkdir(parents=True)

        def command(
            args: Path, result: Path, nproc: int, environ: Mapping[str, str] | None = None
        ) -> list[str]:
            mine = launch.result_of_rank(result, 1)
            return says({"result": {}}, 0)(args, mine, nproc, environ)

        assert self.run(api, file, command, node=1) == 0
        assert "train.json" not in api.config_maps["team/run-train-3"]

    @pytest.mark.parametrize("node", [0, 1])
    def test_an_error_is_handed_over_by_any_node(self, api: Api, file: Path, node: int) -> None:
        assert self.run(api, file, says(failure(2, "bad shard"), 1), node) == 2
        assert held(api)["error"]["message"] == "bad shard"

    @pytest.mark.parametrize(
        ("first", "then", "told"),
        [
            pytest.param((0, 1, "peer gone"), (1, 2, "bad shard"), "bad shard", id="the-users-error-wins"),
            pytest.param((1, 2, "bad shard"), (0, 1, "peer gone"), "bad shard", id="in-whichever-order"),
            pytest.param((0, 1, "peer gone"), (1, 75, "stopped"), "stopped", id="then-one-that-passes"),
            pytest.param((0, 75, "stopped"), (1, 75, "me too"), "stopped", id="the-first-of-two-equals"),
        ],
    )
    def test_the_error_that_explains_most_is_told(
        self, api: Api, file: Path, first: Any, then: Any, told: str
    ) -> None:
        for node, code, message in (first, then):
            self.run(api, file, says(failure(code, message), 1), node)
        assert held(api)["error"]["message"] == told

    def test_an_error_never_hides_a_result(self, api: Api, file: Path) -> None:
        self.run(api, file, says({"result": {"uri": "u"}}, 0))
        assert self.run(api, file, says(failure(1, "late"), 1), node=1) == 1
        assert held(api) == {"result": {"uri": "u"}}

    def test_a_death_without_a_word_is_told(self, api: Api, file: Path) -> None:
        assert self.run(api, file, says(None, 1)) == 1
        assert "ended on node 0 with exit code 1 and said nothing" in held(api)["error"]["message"]

    def test_progress_and_attempt_are_told(self, api: Api, file: Path) -> None:
        self.run(api, file, says({"result": {}}, 0))
        assert pod.attempt_of(api.environment) == 3
        assert pod.attempt_of({}) == 0

    @pytest.mark.parametrize(
        ("text", "words"),
        [pytest.param("{", "Invalid JSON", id="no-json"), pytest.param(None, "No such file")],
    )
    def test_wrong_arguments_are_handed_over(
        self, api: Api, tmp_path: Path, text: str | None, words: str
    ) -> None:
        file = tmp_path / "args.json"
        if text is not None:
            file.write_text(text)
        with pytest.raises(UserError, match=words):
            self.run(api, file, says({"result": {}}, 0))
        assert held(api)["error"]["exitCode"] == 2

    def test_outside_a_cluster_nothing_is_handed_over(self, file: Path) -> None:
        environ = {"PATH": os.environ["PATH"], "DAYBREAK_PROGRESS_PORT": "0"}
        assert pod.run_pod(file, environ, says({"result": {}}, 0)) == 0


class TestProgress:
    def test_before_the_first_step_the_pod_is_the_sign_of_life(self, tmp_path: Path) -> None:
        now = [1000.0]
        source = progress_server.ProgressSource(tmp_path / "none", 2, lambda: now[0])
        now[0] = 1100.0
        assert source.read() == TrainerSnapshot(attempt=2, updated=1100.0)
        now[0] = 9000.0
        assert source.read().updated == 1000.0 + progress_server.LOADING_S

    def test_between_steps_the_last_one_is(self, tmp_path: Path) -> None:
        file = tmp_path / "f.json"
        written = TrainerSnapshot(step=3, total_steps=9, loss=2.5, updated=500.0, checkpoint_step=2)
        metrics_file.MetricsFile(file).write(written)
        now = [1000.0]
        source = progress_server.ProgressSource(file, 4, lambda: now[0])
        assert source.read() == written.model_copy(update={"attempt": 4})

    def test_after_the_last_step_the_result_is_committed(self, tmp_path: Path) -> None:
        file = tmp_path / "f.json"
        metrics_file.MetricsFile(file).write(TrainerSnapshot(step=9, total_steps=9, updated=500.0))
        assert progress_server.ProgressSource(file, 0, lambda: 1000.0).read().updated == 1000.0

    def test_metrics_are_written_once_a_second_and_at_the_end(self, tmp_path: Path) -> None:
        now = [0.0]
        file = metrics_file.MetricsFile(tmp_path / "f.json", lambda: now[0])
        for step in range(1, 10):
            now[0] = step * 0.3
            file.write(TrainerSnapshot(step=step, total_steps=10, updated=0))
            found = metrics_file.read(tmp_path / "f.json")
            assert found is not None
            assert found.step == {1: 1, 2: 1, 3: 1, 4: 1}.get(step, 5 if step < 9 else 9)
        file.write(TrainerSnapshot(step=10, total_steps=10, updated=0))
        last = metrics_file.read(tmp_path / "f.json")
        assert last is not None
        assert last.step == 10

    def test_a_request_is_answered_by_name_and_by_address(self, tmp_path: Path) -> None:
        source = progress_server.ProgressSource(tmp_path / "none", 2, lambda: 7.0)
        with progress_server.serving(source, {"DAYBREAK_PROGRESS_PORT": "0"}) as port:
            answer = TrainerSnapshot.model_validate_json(get(port, "/progress"))
            assert answer == TrainerSnapshot(attempt=2, updated=7.0)
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get(port, "/other")

    def test_a_port_that_is_taken_costs_the_metrics_only(self, tmp_path: Path, capsys: Any) -> None:
        source = progress_server.ProgressSource(tmp_path / "none", 2)
        with (
            progress_server.serving(source, {"DAYBREAK_PROGRESS_PORT": "0"}) as port,
            progress_server.serving(source, {"DAYBREAK_PROGRESS_PORT": str(port)}) as second,
        ):
            assert second == 0
        assert f"port {port}: Address already in use" in capsys.readouterr().err

    def test_a_wrong_port_is_refused(self) -> None:
        with pytest.raises(UserError, match="DAYBREAK_PROGRESS_PORT must be a port"):
            progress_server.port_of({"DAYBREAK_PROGRESS_PORT": "http"})

    def test_what_did_not_change_is_not_passed_on(self, api: Api, tmp_path: Path, capsys: Any) -> None:
        way = reporter_from(api.environment)
        assert way is not None
        file, now = tmp_path / "p.json", [0.0]
        relay = Relay(file, sys.stdout, ProgressPoster(way, interval_s=0.01), lambda: now[0])
        relay.look()
        file.write_text(json.dumps({"step": "train", "activity": "loss 2", "done": 1, "total": 4}))
        relay.look()
        until(lambda: "progress.json" in api.config_maps["team/run-train-3"])
        first = held(api, "progress.json")
        assert (first["activity"], first["done"]) == ("loss 2", 1)
        patches = len(api.requests)
        for _ in range(5):
            relay.look()
        assert len(api.requests) == patches
        now[0] = 61.0
        file.write_text(json.dumps({"step": "train", "activity": "loss 1", "done": 2, "total": 4}))
        relay.look()
        assert capsys.readouterr().out == "train: loss 2 25 %\ntrain: loss 1 50 %\n"


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return bytes(answer.read())


def until(true: Any, seconds: float = WAIT_S) -> None:
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "nothing happened"
        pause.wait(0.02)


OWN_SHM = (
    *("unshare", "--mount", *(() if os.getuid() == 0 else ("--user", "--map-root-user"))),
    *("sh", "-c", 'mount -t tmpfs shm /dev/shm && exec "$@"', "sh"),
)
"""Gives a command shared memory of its own, as every pod has: streaming's names in it are the same on each node."""


class Nodes:
    """Two pods of one training on this machine."""

    def __init__(self, api: Api, folder: Path) -> None:
        self.folder = folder
        self.progress = free_port()
        meet = {"PET_NNODES": "2", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(free_port())}
        self.environment = {**os.environ, **api.environment, **meet, launch.PROCESSES_VARIABLE: "1"}
        self.pods: list[subprocess.Popen[bytes]] = []

    def start(self, node: int, args: Path) -> None:
        mine = {"PET_NODE_RANK": str(node), "DAYBREAK_PROGRESS_PORT": str(self.progress)}
        with (self.folder / f"node-{node}.log").open("ab") as log:
            command = [*OWN_SHM, sys.executable, "-m", "daybreak_train.pod", "--args-file", str(args)]
            self.pods.append(
                subprocess.Popen(command, env={**self.environment, **mine}, stdout=log, stderr=log)
            )

    def snapshot(self) -> TrainerSnapshot | None:
        try:
            return TrainerSnapshot.model_validate_json(get(self.progress, "/progress"))
        except (urllib.error.URLError, ConnectionError):
            assert self.pods[0].poll() is None, self.log()
            return None

    def steps(self) -> int:
        found = self.snapshot()
        return 0 if found is None else found.step

    def wait(self) -> list[int]:
        return [each.wait(WAIT_S) for each in self.pods]

    def log(self) -> str:
        return "".join((self.folder / f"node-{node}.log").read_text() for node in (0, 1))


@pytest.fixture
@starts("torchrun")
def nodes(api: Api, tmp_path: Path) -> Iterator[Nodes]:
    found = Nodes(api, tmp_path)
    yield found
    for each in found.pods:
        if each.poll() is None:
            each.terminate()
            each.wait(60)


@pytest.mark.slow
def test_two_nodes_train_and_one_speaks(api: Api, nodes: Nodes, made: Any, tmp_path: Path) -> None:
    for node in (0, 1):
        nodes.start(node, args_file(made, tmp_path / f"node-{node}", tmp_path / "out", tokens=16_384))
    until(lambda: nodes.snapshot() is not None)
    assert nodes.wait() == [0, 0], nodes.log()
    result = held(api)["result"]
    assert (result["steps"], result["stopped_by"]) == (4, "Tokens")
    assert held(api, "progress.json")["step"] == "train"
    snapshot = metrics_file.read(tmp_path / "node-0" / "scratch" / "pod" / "metrics.json")
    assert snapshot is not None
    assert (snapshot.step, snapshot.total_steps, snapshot.seconds_left) == (4, 4, 0.0)
    assert not (tmp_path / "node-1" / "scratch" / "pod" / "metrics.json").exists()


@pytest.mark.slow
def test_a_node_that_is_told_to_stop_stops_all_and_saves(
    api: Api, nodes: Nodes, made: Any, tmp_path: Path
) -> None:
    for node in (0, 1):
        nodes.start(node, args_file(made, tmp_path / f"node-{node}", tmp_path / "out", tokens=40_960_000))
    until(lambda: nodes.steps() >= 1)
    snapshot = nodes.snapshot()
    assert snapshot is not None
    assert (snapshot.attempt, snapshot.total_steps) == (3, 10_000)
    assert snapshot.loss is not None
    nodes.pods[1].send_signal(signal.SIGTERM)
    assert nodes.wait() == [75, 75], nodes.log()
    error = held(api)["error"]
    assert error["exitCode"] == 75
    assert "asked to stop by SIGTERM" in error["message"]
    assert list((tmp_path / "out").rglob("checkpoints/*/step-*")) != []


def test_a_pod_starts_without_loading_torch() -> None:
    code = "import sys, daybreak_train.pod; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()).isdisjoint(
        {"torch", "composer", "streaming", "mlflow", "numpy", "pyarrow"}
    )
