"""A disk that is too small is said before the first step, and one that fills up is nobody's bug."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from daybreak_contracts.errors import TransientError
from daybreak_train.checkpoints import snapshots, space
from daybreak_train.checkpoints.writer import CheckpointStore, CheckpointWriter
from daybreak_train.loop.ledger import Ledger, LedgerEntry

MB = 1 << 20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or os.system(f"mount -t tmpfs -o size=2m none '{disk}' 2>/dev/null") != 0:
        pytest.skip("mounting a small disk needs the right to mount")
    yield disk
    assert os.system(f"umount -l '{disk}'") == 0


def snapshot(step: int, size: int) -> snapshots.Snapshot:
    return snapshots.Snapshot(
        step=step, tensors={"model": {"a": torch.zeros(size // 4)}}, state={}, ledger=b""
    )


@pytest.mark.parametrize(
    ("free", "keep", "present", "expected"),
    [
        pytest.param(59_000_000, 3, 0, None, id="four-checkpoints-and-the-weights-fit"),
        pytest.param(50_000_000, 3, 0, "56.2 MB are needed and 50.0 MB are free", id="one-too-many"),
        pytest.param(50_000_000, 3, 10_000_000, None, id="what-lies-there-already-is-not-needed-again"),
        pytest.param(50_000_000, 2, 0, None, id="fewer-are-kept"),
    ],
)
def test_what_a_run_needs(free: int, keep: int, present: int, expected: str | None, tmp_path: Path) -> None:
    needs = [space.local_need(tmp_path, 1_000_000, keep, present)]
    if expected is None:
        space.check(needs, lambda folder: free)
        return
    with pytest.raises(TransientError, match=expected) as told:
        space.check(needs, lambda folder: free)
    assert str(tmp_path) in str(told.value)
    assert "3 checkpoints of 13.0 MB are kept" in str(told.value)


def test_the_free_space_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert space.free_bytes(tmp_path / "a" / "b") == pytest.approx(space.free_bytes(tmp_path), rel=0.5)


def test_a_disk_that_fills_up_in_a_checkpoint_is_said_with_what_is_needed(small_disk: Path) -> None:
    store = CheckpointStore(str(small_disk / "checkpoints"), "c" * 64, str(small_disk), keep=3)
    with CheckpointWriter(store) as writer:
        writer.save(snapshot(1, MB))
        writer.wait()
        writer.save(snapshot(2, MB))
        with pytest.raises(
            TransientError, match=r"no space left for a checkpoint of 1\.0 MB; 3 are kept"
        ) as told:
            writer.wait()
    assert store.folder in str(told.value)
    assert snapshots.steps_in(store.folder) == [1]
    assert not list(Path(store.folder).glob(".staging-*"))


def test_a_ledger_on_a_full_disk_is_no_bug(small_disk: Path) -> None:
    entry = LedgerEntry(1, 0, 0, 64, 1.0, 1.0, 0.1, 1.0, "0" * 16)
    ledger = Ledger(small_disk / "ledger.jsonl")
    (small_disk / "other").write_bytes(bytes(2 * MB - 4096))
    with pytest.raises(TransientError, match=r"ledger\.jsonl: no space left on the device"):
        for _ in range(1000):
            ledger.append(entry)
    with pytest.raises(TransientError):
        ledger.close()


def test_a_training_on_too_small_a_disk_does_not_begin(
    zygote: Any, made: Any, small_disk: Path, tmp_path: Path
) -> None:
    started = zygote.start(made.args(tmp_path, output=str(small_disk / "out")), tmp_path)
    assert started.wait() == 75
    message = started.outcome()["error"]["message"]
    assert f"{small_disk}/out/checkpoints/" in message
    assert "are needed and 2.1 MB are free (3 checkpoints of" in message
    assert not list(small_disk.glob("out/checkpoints/*/ledger.jsonl"))
