"""A training with a fault in it ends well or says why, whoever trains it and however often it is killed."""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

STEPS = 48
TOKENS = STEPS * 4096
BAD = 36
Ledger = Callable[[dict[str, Any]], list[dict[str, Any]]]


def fault(kind: str, *steps: int, rank: int | None = None) -> dict[str, str]:
    return {"DAYBREAK_TEST_FAULT": json.dumps({"kind": kind, "steps": steps, "rank": rank})}


def record_of(folder: Path) -> list[dict[str, Any]]:
    (file,) = folder.glob("out/checkpoints/*/guard.json")
    events: list[dict[str, Any]] = json.loads(file.read_text())["events"]
    return events


def weights_of(result: dict[str, Any]) -> bytes:
    return (Path(result["uri"]) / "model.safetensors").read_bytes()


def all_finite(file: Path) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in load_file(file).values())


@pytest.fixture(scope="module")
def clean(zygote: Any, made: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("clean")
    return zygote.run(made.args(folder, tokens=TOKENS), folder)


def test_a_clean_training_raises_no_alarm(clean: dict[str, Any], ledger: Ledger) -> None:
    assert (clean["spikes"], clean["steps_left_out"], clean["rewinds"]) == (0, 0, 0)
    assert not any("guard" in entry for entry in ledger(clean))


@pytest.fixture(scope="module")
def skipped(zygote: Any, made: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The training one of whose steps was not finite; run twice, to be read again."""
    folder = tmp_path_factory.mktemp("skipped")
    args = made.args(folder, tokens=TOKENS)
    result = zygote.run(args, folder, **fault("nan", BAD))
    assert f"step {BAD}: loss or gradient norm is not finite" in (folder / "log-0.txt").read_text()
    assert zygote.run(args, folder) == {**result, "cached": True}
    return result


def test_one_loss_that_is_not_finite_costs_one_update(
    skipped: dict[str, Any], clean: dict[str, Any], ledger: Ledger
) -> None:
    entries = ledger(skipped)
    assert [entry["step"] for entry in entries if entry.get("left_out")] == [BAD]
    bad = entries[BAD - 1]
    assert (bad["loss"], bad["grad_norm"], bad["guard"]["finding"]) == (None, None, "NonFinite")
    assert len(bad["guard"]["samples"]) == 64
    assert entries[: BAD - 1] == ledger(clean)[: BAD - 1]
    assert (skipped["steps"], skipped["steps_left_out"], skipped["spikes"]) == (STEPS, 1, 0)
    assert math.isfinite(skipped["loss"])
    assert all_finite(Path(skipped["uri"]) / "model.safetensors")


def test_a_run_whose_last_steps_are_not_finite_has_a_loss_that_can_be_read_again(
    zygote: Any, made: Any, tmp_path: Path
) -> None:
    args = made.args(tmp_path, tokens=6 * 4096)
    result = zygote.run(args, tmp_path, **fault("nan", 5, 6))
    assert math.isfinite(result["loss"])
    assert zygote.run(args, tmp_path) == {**result, "cached": True}


def test_three_in_a_row_stop_the_training_and_keep_the_last_good_checkpoint(
    zygote: Any, made: Any, tmp_path: Path
) -> None:
    training = {"checkpoint": {"every_seconds": 1}}
    args = made.args(tmp_path, tokens=TOKENS, training=training)
    started = zygote.start(args, tmp_path, 0.1, **fault("nan", *range(BAD, STEPS + 1)))
    assert started.wait() == 2
    message = started.outcome()["error"]["message"]
    good = sorted(tmp_path.glob("out/checkpoints/*/step-*"))[-1]
    assert f"step {BAD + 2}: loss or gradient norm is not finite" in message
    assert "samples " in message
    assert str(good) in message
    assert all_finite(good / "model.safetensors")
    assert all_finite(good / "optimizer.safetensors")
    assert not list(tmp_path.glob("out/train/*"))
    ended = zygote.run(args, tmp_path)
    assert ended["steps"] == STEPS


def test_stop_at_the_first_when_the_manifest_says_so(zygote: Any, made: Any, tmp_path: Path) -> None:
    args = made.args(tmp_path, tokens=TOKENS, training={"guard": {"non_finite": "Stop"}})
    started = zygote.start(args, tmp_path, **fault("nan", 5))
    assert started.wait() == 2
    message = started.outcome()["error"]["message"]
    assert "step 5: loss or gradient norm is not finite" in message
    assert "there is no checkpoint yet" in message


def test_two_ranks_of_which_one_is_not_finite_agree(
    zygote: Any, made: Any, ledger: Ledger, tmp_path: Path
) -> None:
    args = made.args(tmp_path, tokens=TOKENS // 2)
    group = zygote.start_group(args, tmp_path, 2, **fault("nan", 20, rank=1))
    assert [member.wait() for member in group] == [0, 0], group[0].log.read_text()
    result = group[0].outcome()["result"]
    entries = ledger(result)
    assert [entry["step"] for entry in entries if entry.get("left_out")] == [20]
    assert len(entries[19]["guard"]["samples"]) == 64
    assert all_finite(Path(result["uri"]) / "model.safetensors")


@pytest.mark.parametrize("kind", ["random", "repeated"])
def test_a_poisoned_batch_is_found_at_once_and_not_learnt(
    kind: str, zygote: Any, made: Any, skipped: dict[str, Any], ledger: Ledger, tmp_path: Path
) -> None:
    result = zygote.run(made.args(tmp_path, tokens=TOKENS), tmp_path, **fault(kind, BAD))
    bad = ledger(result)[BAD - 1]
    assert (bad["guard"]["finding"], bad["guard"]["action"], bad["left_out"]) == ("LossSpike", "Skip", True)
    assert (result["spikes"], result["steps_left_out"]) == (1, 1)
    assert weights_of(result) == weights_of(skipped)  # nothing of it is left, in no moment of the optimizer


def test_alert_tells_and_goes_on(zygote: Any, made: Any, ledger: Ledger, tmp_path: Path) -> None:
    args = made.args(tmp_path, tokens=TOKENS, training={"guard": {"spike": "Alert"}})
    result = zygote.run(args, tmp_path, **fault("random", BAD))
    assert (result["spikes"], result["steps_left_out"]) == (1, 0)
    assert ledger(result)[BAD - 1]["guard"]["action"] == "Alert"


@pytest.fixture(scope="module")
def rewound(zygote: Any, made: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("rewound")
    args = made.args(folder, tokens=TOKENS, training={"guard": {"spike": "Rewind"}})
    return zygote.run(args, folder, **fault("random", BAD))


def test_a_rewind_leaves_the_spike_and_the_step_before_it_out(
    rewound: dict[str, Any], clean: dict[str, Any], ledger: Ledger
) -> None:
    entries = ledger(rewound)
    assert [entry["step"] for entry in entries] == list(range(1, STEPS + 1))
    assert [entry["step"] for entry in entries if entry.get("left_out")] == [BAD - 1, BAD]
    assert entries[BAD - 1]["guard"]["action"] == "Rewind"
    assert (rewound["spikes"], rewound["rewinds"], rewound["steps_left_out"]) == (1, 1, 2)
    assert entries[: BAD - 2] == ledger(clean)[: BAD - 2]


@pytest.mark.slow
def test_killed_at_any_moment_around_a_rewind_it_ends_the_same(
    zygote: Any, made: Any, rewound: dict[str, Any], ledger: Ledger, tmp_path: Path
) -> None:
    training = {"guard": {"spike": "Rewind"}, "checkpoint": {"every_seconds": 1}}
    args = made.args(tmp_path, tokens=TOKENS, training=training)
    planted = fault("random", BAD)
    started = zygote.start(args, tmp_path, 0.1, **planted)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("out/checkpoints/*/guard.json")):
        assert time.monotonic() < deadline, started.log.read_text()
        time.sleep(0.002)
    started.kill()  # decided, and nothing done of it yet
    assert started.wait() == -signal.SIGKILL
    assert [event["left_out"] for event in record_of(tmp_path)] == [[BAD - 1, BAD]]
    again = zygote.start(args, tmp_path, 0.1, **planted)
    time.sleep(1.0)
    again.kill()  # gone back, and no checkpoint since
    again.wait()
    result = zygote.run(args, tmp_path, **planted)
    assert ledger(result) == ledger(rewound)
    assert weights_of(result) == weights_of(rewound)


def test_rewinds_are_bounded(zygote: Any, made: Any, tmp_path: Path) -> None:
    args = made.args(tmp_path, tokens=TOKENS, training={"guard": {"spike": "Rewind", "max_rewinds": 1}})
    started = zygote.start(args, tmp_path, **fault("random", BAD, BAD + 2))
    assert started.wait() == 2
    message = started.outcome()["error"]["message"]
    assert f"step {BAD + 2}: the loss spiked" in message
    assert "training stopped" in message
