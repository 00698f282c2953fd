"""A training is the same training however often it is killed, and whoever trains it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import names, storage
from daybreak_contracts.resources.run import Mlflow, Objective, Tracking, Wandb
from tests.train.conftest import until

Ledger = Callable[[dict[str, Any]], list[dict[str, Any]]]
STEPS = 40
TOKENS = STEPS * 4096
OFTEN = {"every_seconds": 1}
KILLABLE_S = 0.1
"""The least time of a step where a training must be caught in the middle: three checkpoints in four seconds."""


def steps_done(out: Path) -> int:
    return sum(len(file.read_bytes().splitlines()) for file in out.glob("checkpoints/*/ledger.jsonl"))


def newest_checkpoint(out: Path) -> int:
    return max((int(path.name.removeprefix("step-")) for path in out.glob("checkpoints/*/step-*")), default=0)


@pytest.fixture(scope="module")
def whole(
    zygote: Any, made: Any, middle: Objective, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The training that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return zygote.run(made.args(folder, tokens=TOKENS, training={"objective": middle}), folder)


def test_an_undisturbed_training_learns_and_tells_all(whole: dict[str, Any], ledger: Ledger) -> None:
    entries = ledger(whole)
    assert [entry["step"] for entry in entries] == list(range(1, STEPS + 1))
    assert [entry["first_sample"] for entry in entries] == [64 * index for index in range(STEPS)]
    assert entries[0]["loss"] > 6.0
    assert entries[-1]["loss"] < entries[0]["loss"] - 1.0
    assert entries[-1]["lr"] < entries[STEPS // 2]["lr"]
    assert sum("held_out_loss" in entry for entry in entries) == 3
    assert (whole["steps"], whole["tokens"], whole["stopped_by"]) == (STEPS, TOKENS, "Tokens")
    assert whole["held_out_loss"] < 6.0


def test_the_loss_curve_is_the_golden_one(whole: dict[str, Any], ledger: Ledger) -> None:
    # the tolerance is for other machines' summation order; on one machine the curve is exact
    golden = {1: 6.2267, 20: 4.4750, 40: 3.5370}
    entries = ledger(whole)
    assert {step: entries[step - 1]["loss"] for step in golden} == pytest.approx(golden, rel=2e-3)


def test_an_epoch_shows_every_sample_once(whole: dict[str, Any], ledger: Ledger) -> None:
    entries = ledger(whole)
    assert {entry["epoch"] for entry in entries} == {0, 1, 2, 3}
    digests = [entry["batch_digest"] for entry in entries]
    assert len(set(digests)) == len(digests)


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_trace(
    zygote: Any, made: Any, middle: Objective, whole: dict[str, Any], ledger: Ledger, tmp_path: Path
) -> None:
    draw, out = random.Random(11), tmp_path / "out"
    args = made.args(tmp_path, tokens=TOKENS, training={"objective": middle, "checkpoint": OFTEN})
    seen = 0
    for _ in range(3):
        started = zygote.start(args, tmp_path, KILLABLE_S)
        until(lambda seen=seen: newest_checkpoint(out) > seen, [started])
        seen = newest_checkpoint(out)
        time.sleep(draw.uniform(0.0, 0.2))
        started.kill()
        assert started.wait() == -signal.SIGKILL
    result = zygote.run(args, tmp_path)
    log = (tmp_path / "log-0.txt").read_text()
    resumed = [int(line.rpartition(" ")[2]) for line in log.splitlines() if "resuming after step" in line]
    assert len(resumed) == 3
    assert 1 <= resumed[0] < resumed[1] < resumed[2] < STEPS
    assert ledger(result) == ledger(whole)
    assert result["held_out_loss"] == whole["held_out_loss"]
    weights = [(Path(r["uri"]) / "model.safetensors").read_bytes() for r in (result, whole)]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_sigterm_saves_and_says_try_again_and_a_torn_newest_falls_back(
    zygote: Any, made: Any, middle: Objective, whole: dict[str, Any], ledger: Ledger, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    args = made.args(tmp_path, tokens=TOKENS, training={"objective": middle, "checkpoint": OFTEN})
    started = zygote.start(args, tmp_path, KILLABLE_S)
    until(lambda: newest_checkpoint(out) > 0, [started])
    os.kill(started.pid, signal.SIGTERM)
    assert started.wait() == 75
    error = started.outcome()["error"]
    assert "asked to stop by SIGTERM after step" in error["message"]
    checkpoints = sorted(out.glob("checkpoints/*/step-*"))
    assert int(checkpoints[-1].name.removeprefix("step-")) == steps_done(out)
    weights = checkpoints[-1] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    result = zygote.run(args, tmp_path)
    assert "checkpoint passed over" in (tmp_path / "log-0.txt").read_text()
    assert ledger(result) == ledger(whole)


@pytest.mark.slow
def test_three_processes_then_one_train_as_one_does(
    zygote: Any, made: Any, middle: Objective, whole: dict[str, Any], ledger: Ledger, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    args = made.args(tmp_path, tokens=TOKENS, training={"objective": middle, "checkpoint": OFTEN})
    group = zygote.start_group(args, tmp_path, 3, KILLABLE_S)  # 64 samples a step: 22, 21 and 21
    until(lambda: newest_checkpoint(out) > 0, group)
    for member in group:
        member.kill()
    for member in group:
        member.wait()
    result = zygote.run(args, tmp_path)
    here, there = ledger(result), ledger(whole)
    assert [entry["batch_digest"] for entry in here] == [entry["batch_digest"] for entry in there]
    for what in ("loss", "grad_norm"):  # means over the batch's tokens, however they fall to the processes
        assert [entry[what] for entry in here] == pytest.approx([entry[what] for entry in there], rel=1e-4)


@pytest.mark.slow
def test_ul2_killed_and_gone_on_by_two_processes_trains_as_one_does(
    zygote: Any, made: Any, ledger: Ledger, tmp_path: Path
) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    training = {"objective": Objective.model_validate({"ul2": {}}), "checkpoint": OFTEN}
    whole = zygote.run(made.args(alone, tokens=TOKENS // 2, training=training), alone)
    args = made.args(shared, tokens=TOKENS // 2, training=training)
    started = zygote.start(args, shared, KILLABLE_S)
    until(lambda: newest_checkpoint(shared / "out") > 0, [started])
    started.kill()
    started.wait()
    group = zygote.start_group(args, shared, 2)
    assert [member.wait() for member in group] == [0, 0]
    here, there = ledger(group[0].outcome()["result"]), ledger(whole)
    assert [entry["batch_digest"] for entry in here] == [entry["batch_digest"] for entry in there]
    for what in (
        "loss",
        "grad_norm",
    ):  # means over targets alone, of which the processes have unequal numbers
        assert [entry[what] for entry in here] == pytest.approx([entry[what] for entry in there], rel=1e-4)
    assert there[-1]["loss"] < there[0]["loss"]


def test_the_same_training_again_is_not_done_again(zygote: Any, made: Any, tmp_path: Path) -> None:
    args = made.args(tmp_path, tokens=4096)
    first, second = zygote.run(args, tmp_path), zygote.run(args, tmp_path)
    assert (first["cached"], second["cached"]) == (False, True)
    assert {**second, "cached": False} == first


def test_time_ends_a_training_with_its_decay_done(
    zygote: Any, made: Any, whole: dict[str, Any], ledger: Ledger, tmp_path: Path
) -> None:
    seconds = 30 * 4096 / whole["tokens_per_second"]  # some thirty steps, on a busy machine too
    args = made.args(tmp_path, tokens=10**9, max_seconds=seconds)
    result = zygote.run(args, tmp_path)
    rates = [entry["lr"] for entry in ledger(result)]
    assert result["stopped_by"] == "Time"
    assert rates[-1] < max(rates)
    # what came of it hangs on this machine: its name is not that of the work, but the work is known as done
    assert not result["uri"].endswith(result["digest"][:16])
    again = zygote.run(args, tmp_path)
    assert (again["cached"], again["digest"]) == (True, result["digest"])


@pytest.mark.slow
def test_a_longer_run_goes_on_before_the_decay_of_a_shorter_and_equals_one_that_was_long_from_the_start(
    zygote: Any, made: Any, middle: Objective, whole: dict[str, Any], ledger: Ledger, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(Path(whole["uri"]).parents[1], out)
    [trunk] = out.glob("checkpoints/*/trunk.json")
    training = {"objective": middle, "checkpoint": OFTEN}
    longer = made.args(tmp_path, tokens=2 * TOKENS, training=training)
    started = zygote.start(longer, tmp_path, KILLABLE_S)
    until(lambda: newest_checkpoint(out) > STEPS, [started])
    started.kill()
    started.wait()
    shutil.rmtree(trunk.parent)  # nothing of it is needed once the longer run has a checkpoint of its own
    result = zygote.run(longer, tmp_path)
    straight = zygote.run(made.args(tmp_path / "new", tokens=2 * TOKENS, training=training), tmp_path / "new")
    origin = f"{trunk.parent.name}/step-{STEPS * 4 // 5:012d}"
    entries, expected = (
        [
            {k: v for k, v in entry.items() if k not in ("held_out_loss", "generations")}
            for entry in ledger(run)
        ]
        for run in (result, straight)
    )
    assert entries[32].pop("continued_from") == result["continued_from"] == origin
    assert entries == expected
    assert ledger(whole)[:32] == ledger(result)[:32]
    assert result["held_out_loss"] == straight["held_out_loss"]
    assert result["digest"] == straight["digest"] != whole["digest"]
    weights = [(Path(r["uri"]) / "model.safetensors").read_bytes() for r in (result, straight)]
    assert weights[0] == weights[1]


def test_a_dead_tracking_server_is_a_warning_and_what_it_lacks(
    zygote: Any, made: Any, tmp_path: Path
) -> None:
    tracking = Tracking(mlflow=Mlflow(uri="http://127.0.0.1:9"), wandb=Wandb())
    result = zygote.run(made.args(tmp_path, tokens=4096, tracking=tracking), tmp_path)
    assert result["steps"] == 1
    said = (tmp_path / "log-0.txt").read_text()
    assert said.count("MLflow: training goes on without it, and keeps what it is to be told") == 1
    assert said.count("MLflow: does not have ") == 1


def test_metrics_go_to_the_local_store_by_default(whole: dict[str, Any]) -> None:
    import sqlite3

    store = Path(whole["uri"]).parents[1] / "mlflow" / "mlflow.db"
    with sqlite3.connect(store) as connection:
        keys = {key for (key,) in connection.execute("select distinct key from metrics")}
        status = connection.execute("select status from runs").fetchall()
    connection.close()
    assert {"loss/train/total", "l2_norm/grad/global", "throughput/tokens_per_sec", "lr"} <= keys
    assert status == [("FINISHED",)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param("shard", "was changed after it was committed", id="one-byte-of-a-shard"),
        pytest.param("gone", "listed in the manifest but missing", id="a-shard-is-gone"),
        pytest.param("context", "contextLength is 128", id="made-for-another-context"),
        pytest.param("step", "is an artifact of the step 'tokenizer'", id="not-shards-at-all"),
        pytest.param(
            "gpu", "gpusPerNode is 1 but this machine has no CUDA GPU", id="a-gpu-that-is-not-there"
        ),
    ],
)
def test_bad_inputs_are_the_users_error(
    damage: str, message: str, zygote: Any, made: Any, tmp_path: Path
) -> None:
    copy = tmp_path / "shards"
    storage.copy_tree(made.shards, str(copy))
    args = made.args(tmp_path, shards=str(copy))
    shard = sorted((copy / "train").glob("shard.*"))[1]
    if damage == "shard":
        data = bytearray(shard.read_bytes())
        data[-1] ^= 1
        shard.write_bytes(data)
    elif damage == "gone":
        shard.unlink()
    elif damage == "context":
        args = made.args(tmp_path, training={"context_length": 128})
    elif damage == "step":
        args = made.args(tmp_path, shards=made.tokenizer)
    else:
        args = made.args(tmp_path, training={"gpus_per_node": 1})
    started = zygote.start(args, tmp_path)
    assert started.wait() == 2
    assert message in started.outcome()["error"]["message"]
    assert not list(tmp_path.glob("out/train/*"))


def test_a_torn_result_file_is_never_left(whole: dict[str, Any]) -> None:
    described = json.loads((Path(whole["uri"]) / "model.json").read_text())
    assert described["objective"] == {"fillInTheMiddle": {"rate": "0.5", "spmShare": "0.5"}}
    assert described["contextLength"] == 64


@pytest.mark.slow
def test_a_training_into_a_bucket_goes_on_from_the_bucket(
    zygote: Any, made: Any, middle: Objective, whole: dict[str, Any], bucket: str, tmp_path: Path
) -> None:
    environ = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    environ[names.ENV_RUN_UID] = "one-run"  # as in pods: another run's would be waited for
    training = {"objective": middle, "checkpoint": OFTEN}
    args = made.args(tmp_path, tokens=TOKENS, training=training, output=bucket)
    started = zygote.start(args, tmp_path, KILLABLE_S, **environ)
    until(
        lambda: any(name.endswith("manifest.json") for name in storage.list_files(f"{bucket}/checkpoints")),
        [started],
    )
    started.kill()
    started.wait()
    elsewhere = made.args(
        tmp_path, tokens=TOKENS, training=training, output=bucket, work_dir=str(tmp_path / "new")
    )
    result = zygote.run(elsewhere, tmp_path, **environ)
    assert "resuming after step" in (tmp_path / "log-0.txt").read_text()
    assert result["held_out_loss"] == whole["held_out_loss"]
    assert storage.exists(storage.join(result["uri"], "model.safetensors"))
