"""A training whose state lies in parts is the same training, whoever goes on with it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.train.conftest import until

Ledger = Callable[[dict[str, Any]], list[dict[str, Any]]]
STEPS = 20
TOKENS = STEPS * 4096
TOLERANCE = 1e-4
"""Relative, of losses and gradient norms over 20 steps. Sums over processes and the squares of the norm are added in
another order: one rounding of fp32 is 6e-8, and training carries it on."""


@pytest.fixture(scope="module")
def alone(zygote: Any, made: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The training in one process."""
    folder = tmp_path_factory.mktemp("alone")
    return zygote.run(made.args(folder, tokens=TOKENS), folder)


def same(one: list[dict[str, Any]], other: list[dict[str, Any]], tolerance: float = TOLERANCE) -> None:
    assert [entry["batch_digest"] for entry in one] == [entry["batch_digest"] for entry in other]
    for name in ("loss", "grad_norm"):
        values = [[entry[name] for entry in entries] for entries in (one, other)]
        assert values[0] == pytest.approx(values[1], rel=tolerance)


def test_two_processes_with_a_part_each_learn_what_one_learns(
    zygote: Any, made: Any, alone: dict[str, Any], ledger: Ledger, tmp_path: Path
) -> None:
    result = zygote.run_group(made.args(tmp_path, tokens=TOKENS), tmp_path, 2, shard_from=0)
    same(ledger(result), ledger(alone))
    assert result["held_out_loss"] == pytest.approx(alone["held_out_loss"], rel=TOLERANCE)
    mine, others = (load_file(Path(found["uri"]) / "model.safetensors") for found in (result, alone))
    assert {name: tensor.shape for name, tensor in mine.items()} == {
        name: tensor.shape for name, tensor in others.items()
    }
    (folder,) = tmp_path.glob("out/checkpoints/*/step-*20")
    assert sorted(path.name for path in folder.iterdir()) == [
        "ledger.jsonl",
        "manifest.json",
        "model-00000.safetensors",
        "model-00001.safetensors",
        "optimizer-00000.safetensors",
        "optimizer-00001.safetensors",
        "random.safetensors",
        "state.json",
    ]


def test_parts_learn_what_whole_copies_learn_to_the_last_bit(
    zygote: Any, made: Any, ledger: Ledger, tmp_path: Path
) -> None:
    """The norm that clips was added up in fp32 part by part: losses were .003 apart after 35 steps of a 4m model."""
    parts, copies = (
        ledger(
            zygote.run_group(made.args(tmp_path / kind, tokens=TOKENS), tmp_path / kind, 2, shard_from=least)
        )
        for kind, least in (("parts", 0), ("copies", None))
    )
    assert [(entry["loss"], entry["grad_norm"]) for entry in parts] == [
        (entry["loss"], entry["grad_norm"]) for entry in copies
    ]


def test_in_several_micro_batches_parts_and_copies_stay_close(
    zygote: Any, made: Any, ledger: Ledger, tmp_path: Path
) -> None:
    """Not to the last bit: parts send the gradient of each micro-batch, copies add theirs up first (decision 0079)."""
    parts, copies = (
        ledger(
            zygote.run_group(
                made.args(tmp_path / kind, tokens=TOKENS),
                tmp_path / kind,
                2,
                shard_from=least,
                DAYBREAK_TEST_SAMPLES_A_PASS="8",  # four passes a step
            )
        )
        for kind, least in (("parts", 0), ("copies", None))
    )
    same(parts, copies, TOLERANCE / 10)


OFTEN = {"every_seconds": 1}
KILLABLE_S = 0.15


def newest_step(out: Path) -> int:
    return max((int(path.name.removeprefix("step-")) for path in out.glob("checkpoints/*/step-*")), default=0)


@pytest.mark.slow
def test_others_go_on_with_the_parts_when_one_of_two_is_killed(
    zygote: Any, made: Any, alone: dict[str, Any], ledger: Ledger, tmp_path: Path
) -> None:
    out, seen = tmp_path / "out", 0
    args = made.args(tmp_path, tokens=TOKENS, training={"checkpoint": OFTEN})
    for processes, from_parameters in ((2, 0), (3, 0), (2, None)):
        group = zygote.start_group(args, tmp_path, processes, KILLABLE_S, from_parameters)
        until(lambda seen=seen: newest_step(out) > seen, group)
        seen = newest_step(out)
        group[-1].kill()
        assert group[-1].wait() == -signal.SIGKILL
        assert all(member.wait() != 0 for member in group[:-1])  # nobody waits for the one that is gone
    result = zygote.run(args, tmp_path)
    same(ledger(result), ledger(alone))
    log = (tmp_path / "log-0.txt").read_text()
    resumed = [int(line.rpartition(" ")[2]) for line in log.splitlines() if "resuming after step" in line]
    assert len(resumed) == 3
    assert 0 < resumed[0] < resumed[1] < resumed[2]


@pytest.mark.slow
def test_asked_to_stop_all_leave_when_the_checkpoint_is_whole(zygote: Any, made: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = made.args(tmp_path, tokens=10**9, training={"checkpoint": {"every_seconds": 3600}})
    group = zygote.start_group(args, tmp_path, 2, KILLABLE_S, 0)
    until(lambda: any(file.stat().st_size for file in out.glob("checkpoints/*/ledger.jsonl")), group)
    for member in group:
        os.kill(member.pid, signal.SIGTERM)
    assert [member.wait() for member in group] == [75, 75]
    steps = len(next(out.glob("checkpoints/*/ledger.jsonl")).read_bytes().splitlines())
    assert newest_step(out) == steps > 0
