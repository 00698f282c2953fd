"""How many processes, with which command, and whose error is told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import UserError
from daybreak_train.pod import launch


@pytest.mark.parametrize(
    ("gpus", "environ", "expected"),
    [
        pytest.param(0, {}, 1, id="a-cpu-takes-one-process-with-all-threads"),
        pytest.param(8, {}, 8, id="one-process-a-gpu"),
        pytest.param(0, {launch.PROCESSES_VARIABLE: "2"}, 2, id="the-variable-overrides"),
    ],
)
def test_number_of_processes(
    gpus: int, environ: dict[str, str], expected: int, made: Any, tmp_path: Path
) -> None:
    args = made.args(tmp_path, training={"gpus_per_node": gpus})
    assert launch.processes_for(args, environ) == expected


def test_a_wrong_number_of_processes_is_refused(made: Any, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="DAYBREAK_TRAIN_PROCESSES must be a whole number of at least 1, got 'no'"
    ):
        launch.processes_for(made.args(tmp_path), {launch.PROCESSES_VARIABLE: "no"})


def test_alone_the_group_meets_on_loopback() -> None:
    command = launch.command_for(Path("a.json"), Path("r.json"), 2)
    assert command[:4] == [sys.executable, "-m", "daybreak_train.pod.rank_group", "r.json.ends"]
    assert {"--nnodes=1", "--nproc-per-node=2", "--master-addr=127.0.0.1"} <= set(command)
    assert command[-7:] == ["-m", "daybreak_train", "train", "--args-file", "a.json", "--result", "r.json"]


def test_in_a_pod_the_group_meets_where_the_job_says() -> None:
    pod = {"PET_NNODES": "3", "PET_NODE_RANK": "2", "MASTER_ADDR": "run-master-0", "MASTER_PORT": "23456"}
    command = launch.command_for(Path("a"), Path("r"), 8, pod)
    assert {"--nnodes=3", "--node-rank=2", "--master-addr=run-master-0", "--master-port=23456"} <= set(
        command
    )


def error(code: int, message: str, kind: str = "E") -> str:
    return json.dumps({"error": {"exitCode": code, "kind": kind, "message": message}})


@pytest.mark.parametrize(
    ("files", "code", "message"),
    [
        pytest.param(
            {0: error(1, "peer gone"), 1: error(2, "bad shard")}, 2, "bad shard", id="the-users-error-wins"
        ),
        pytest.param(
            {0: error(1, "peer gone"), 1: error(75, "later")}, 75, "later", id="then-one-that-passes"
        ),
        pytest.param({1: error(2, "bad shard")}, 2, "bad shard", id="rank-0-said-nothing"),
        pytest.param({0: error(1, "bug")}, 1, "bug", id="a-bug-stays-a-bug"),
        pytest.param(
            {0: error(75, "peer gone", "PeerLostError"), 1: error(1, "bug")},
            1,
            "bug",
            id="a-bug-explains-why-the-others-lost-that-rank",
        ),
        pytest.param(
            {0: error(75, "peer gone", "PeerLostError"), 1: error(75, "faulty GPU")},
            75,
            "faulty GPU",
            id="and-so-does-what-passes",
        ),
        pytest.param(
            {0: error(1, "second"), 1: error(1, "first")}, 1, "second", id="of-equals-the-lower-rank"
        ),
    ],
)
def test_the_error_that_explains_most_is_told(
    files: dict[int, str], code: int, message: str, tmp_path: Path
) -> None:
    result = tmp_path / "r.json"
    for rank, text in files.items():
        launch.result_of_rank(result, rank).write_text(text)
    assert launch.exit_code(result, 1) == code
    assert json.loads(result.read_text())["error"]["message"] == message


@pytest.mark.parametrize(
    ("ends", "files", "code", "message"),
    [
        pytest.param(
            {0: 1, 1: -9},
            {0: error(1, "Connection reset by peer")},
            75,
            "rank 1 was killed (signal 9), most likely out of memory",
            id="the-others-follow-from-the-one-that-was-killed",
        ),
        pytest.param({1: -9}, {}, 75, "rank 1 was killed (signal 9)", id="nobody-else-said-a-word"),
        pytest.param(
            {0: -6, 3: -9}, {}, 75, "rank 3 was killed (signal 9)", id="an-abort-follows-from-a-kill"
        ),
        pytest.param(
            {0: 1, 2: -11}, {0: error(1, "reset")}, 1, "rank 2 was ended by signal 11 (SIGSEGV)", id="a-crash"
        ),
        pytest.param(
            {0: 1, 1: -6}, {0: error(75, "faulty GPU")}, 75, "faulty GPU", id="an-abort-follows-from-an-error"
        ),
        pytest.param({0: -6, 2: -11}, {}, 1, "rank 2 was ended by signal 11", id="and-from-a-crash"),
        pytest.param(
            {0: -6}, {}, 75, "rank 0 was ended by signal 6 (SIGABRT), as torch does", id="an-abort-alone"
        ),
        pytest.param({1: -7}, {}, 75, "give /dev/shm more", id="shared-memory-is-full"),
        pytest.param(
            {0: 2, 1: -9}, {0: error(2, "bad shard")}, 2, "bad shard", id="the-users-error-explains-more"
        ),
        pytest.param({0: 1, 1: 1}, {0: error(1, "bug")}, 1, "bug", id="none-was-killed"),
    ],
)
def test_a_rank_that_was_killed_is_named(
    ends: dict[int, int], files: dict[int, str], code: int, message: str, tmp_path: Path
) -> None:
    result = tmp_path / "r.json"
    launch.ends_of_ranks(result).write_text(json.dumps(ends))
    for rank, text in files.items():
        launch.result_of_rank(result, rank).write_text(text)
    assert launch.exit_code(result, 1) == code
    assert message in json.loads(result.read_text())["error"]["message"]


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        pytest.param(-9, 75, "torchrun, which starts the ranks, was killed (signal 9)", id="killed"),
        pytest.param(
            -11, 1, "torchrun, which starts the ranks, was ended by signal 11 (SIGSEGV)", id="crashed"
        ),
        pytest.param(3, 3, None, id="its-own-code"),
    ],
)
def test_a_group_that_left_nothing(code: int, expected: int, words: str | None, tmp_path: Path) -> None:
    result = tmp_path / "r.json"
    assert launch.exit_code(result, code) == expected
    assert result.exists() == (words is not None)
    if words is not None:
        assert words in json.loads(result.read_text())["error"]["message"]


def test_what_the_group_says_itself_is_told_where_no_rank_was_started(tmp_path: Path) -> None:
    result = tmp_path / "r.json"
    launch.ends_of_ranks(result).write_text(error(75, "did not meet the other ranks", "PeerLostError"))
    assert launch.exit_code(result, 1) == 75
    assert "did not meet the other ranks" in result.read_text()


def test_a_node_without_rank_0_ends_well_when_its_ranks_did(tmp_path: Path) -> None:
    result = tmp_path / "r.json"
    launch.result_of_rank(result, 1).write_text(json.dumps({"result": {}}))
    assert launch.exit_code(result, 0) == 0
    assert launch.exit_code(result, 1) == 1


@pytest.mark.slow
def test_help_is_quick_and_loads_no_torch() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "daybreak_train", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "{calibrate,export,train}" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert loaded.isdisjoint({"torch", "composer", "streaming", "transformers", "mlflow", "numpy"})


@pytest.mark.needs("torchrun")
@pytest.mark.slow
def test_torchrun_trains_with_two_processes(made: Any, tmp_path: Path) -> None:
    args, result = tmp_path / "a.json", tmp_path / "r.json"
    args.write_text(made.args(tmp_path, tokens=8192).model_dump_json())
    code = launch.run(launch.command_for(args, result, 2), result, child_environment())
    assert (code, json.loads(result.read_text())["result"]["steps"]) == (0, 2)


@pytest.mark.needs("torchrun")
@pytest.mark.slow
def test_one_rank_of_two_is_killed_and_named(made: Any, tmp_path: Path) -> None:
    args, result = tmp_path / "a.json", tmp_path / "r.json"
    args.write_text(made.args(tmp_path, tokens=10**9).model_dump_json())
    killer = threading.Thread(target=_kill_rank_1, args=(tmp_path,))
    killer.start()
    code = launch.run(launch.command_for(args, result, 2), result, child_environment())
    killer.join()
    message = json.loads(result.read_text())["error"]["message"]
    assert code == 75
    assert "rank 1 was killed (signal 9), most likely out of memory" in message


def _kill_rank_1(folder: Path) -> None:
    """End the second rank of the group that trains below a folder, once it trains."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if not any(file.stat().st_size for file in folder.glob("out/checkpoints/*/ledger.jsonl")):
            continue
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes()
                variables = (process / "environ").read_bytes().split(b"\0")
                if str(folder).encode() in words and b"LOCAL_RANK=1" in variables:
                    os.kill(int(process.name), signal.SIGKILL)
                    return


def test_the_error_of_a_group_reaches_the_result(zygote: Any, made: Any, tmp_path: Path) -> None:
    group = zygote.start_group(made.args(tmp_path, shards=made.tokenizer), tmp_path, world_size=2)
    assert {member.wait() for member in group} == {2}
    message = group[0].outcome()["error"]["message"]
    assert "is an artifact of the step 'tokenizer'" in message


def child_environment() -> dict[str, str]:
    return dict(os.environ)
