"""Trackers hold each step once however often a training is stopped, and a spike of one step shows."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from daybreak_train.tracking.points import (
    GRAD_NORM_MAX,
    LOSS,
    LOSS_MAX,
    NON_FINITE,
    PointGatherer,
    generations_text,
)

TRACK = """
import json, sys
from daybreak_contracts.resources.run import Tracking, Wandb
from daybreak_train.tracking.tracker import RunIdentity, Tracker
first, last, finished, folder = *map(int, sys.argv[1:4]), sys.argv[4]
identity = RunIdentity("test", "d" * 64, folder + "/out", folder + "/work")
tracker = Tracker(Tracking(wandb=Wandb(project="p")), identity, {"peakRate": 0.1, "version/torch": "2"})
for step in range(first, last + 1):
    tracker.log({"loss/train/total": float(step)}, step)
tracker.note(f"generations step {last}", "x = 1")
tracker._thread.join(0.1)
tracker.close(bool(finished))
tracker._thread.join(120)
"""
"""What a training does with its trackers; the last wait is the test's, for a busy machine."""


def track(folder: Path, first: int, last: int, finished: bool) -> None:
    command = [sys.executable, "-c", TRACK, str(first), str(last), str(int(finished)), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "goes on without it" not in done.stderr


def logged_offline(folder: Path) -> list[tuple[int, float]]:
    """Read the history of a W&B offline run: a LevelDB log of protobuf records behind a header of seven bytes."""
    import wandb.proto.wandb_internal_pb2 as messages

    [file] = folder.glob("*.wandb")
    data, found, at, whole = file.read_bytes(), [], 7, b""
    while at + 7 <= len(data):
        if (1 << 15) - at % (1 << 15) < 7:  # the end of a block holds no header
            at += (1 << 15) - at % (1 << 15)
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = messages.Record.FromString(whole)
            whole = b""
            if record.WhichOneof("record_type") == "history":
                items = {
                    item.key or "/".join(item.nested_key): item.value_json for item in record.history.item
                }
                found.append((int(items["_step"]), float(items["loss/train/total"])))
    return found


@pytest.mark.slow
def test_after_a_resume_each_step_is_there_once_in_one_run(tmp_path: Path) -> None:
    track(tmp_path, 1, 20, finished=False)
    track(tmp_path, 11, 30, finished=True)  # the newest checkpoint was that of step 10
    with sqlite3.connect(tmp_path / "out/mlflow/mlflow.db") as connection:
        steps = [step for (step,) in connection.execute("select step from metrics order by step")]
        runs = connection.execute("select status from runs").fetchall()
        parameters = dict(connection.execute("select key, value from params"))
        tags = {key for (key,) in connection.execute("select key from tags")}
    connection.close()
    assert {"generations step 20", "generations step 30"} <= tags
    assert steps == list(range(1, 31))
    assert runs == [("FINISHED",)]
    assert parameters == {"peakRate": "0.1", "version/torch": "2"}
    [folder] = (tmp_path / "work/wandb").glob("offline-run-*")
    [points] = (tmp_path / "work/wandb").glob("points-*")
    assert points.read_text().count("generations step") == 2
    assert logged_offline(folder) == [(step, float(step)) for step in range(1, 31)]


def test_a_spike_of_one_step_shows_between_two_points() -> None:
    gatherer = PointGatherer()
    for loss in (2.0, 2.0, 9.0, 2.0):
        gatherer.add(loss, 10 * loss)
    found = gatherer.take()
    assert (found[LOSS], found[LOSS_MAX], found[GRAD_NORM_MAX]) == (3.75, 9.0, 90.0)
    gatherer.add(float("nan"), 1.0)
    gatherer.add(1.0, 1.0)
    assert gatherer.take() == {**dict.fromkeys((LOSS, LOSS_MAX), 1.0), "l2_norm/grad/global": 1.0} | {
        GRAD_NORM_MAX: 1.0,
        NON_FINITE: 1.0,
    }
    assert gatherer.take() == {}


def test_a_run_says_what_it_ran_with(made: Any, zygote: Any, tmp_path: Path) -> None:
    zygote.run(made.args(tmp_path, tokens=4096), tmp_path)
    with sqlite3.connect(tmp_path / "out/mlflow/mlflow.db") as connection:
        parameters = dict(connection.execute("select key, value from params"))
    connection.close()
    assert float(parameters["peakRate"]) > 0
    assert (parameters["samplesPerStep"], parameters["tokensPerStep"]) == ("64", "4096")
    assert parameters["dataDigest"] == "b" * 64
    assert {"device", "processes", "threads", "version/torch", "version/mosaicml"} <= parameters.keys()


def test_generations_are_one_text_for_a_person() -> None:
    found = [{"prompt": "a = ", "text": "1", "suffix": "", "expected": "2"}]
    assert generations_text(found * 2) == "a = \n>>>>\n1\n<<<<\n\na = \n>>>>\n1\n<<<<"
