"""The checkpoint before the decay: kept, found by a longer run of the same training, and by no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts import storage
from daybreak_contracts.planning.schedule import Hyperparameters
from daybreak_train import places
from daybreak_train.checkpoints import trunk
from daybreak_train.checkpoints.trunk import Trunk

NUMBERS = Hyperparameters(4e-3, 100, 0.2, 8, 1.0, 0.1)


def one(step: int, key: str = "k", run: str = "a") -> Trunk:
    return Trunk(key=key, run=run, folder=run, step=step, elapsed_seconds=1.5, hyperparameters=NUMBERS)


def written(checkpoints: Path, *trunks: Trunk) -> None:
    for each in trunks:
        trunk.record(str(checkpoints / each.folder), each)
        storage.write_json(str(checkpoints / each.name / "manifest.json"), {})


def test_a_trunk_is_read_as_it_was_written_and_spared(tmp_path: Path) -> None:
    written(tmp_path, one(32))
    assert trunk.find(str(tmp_path), storage.list_files(str(tmp_path)), "k") == [one(32)]
    assert trunk.kept_step(str(tmp_path / "a")) == 32
    assert trunk.kept_step(str(tmp_path / "b")) is None


def test_only_trunks_of_the_same_training_with_a_checkpoint_are_found(tmp_path: Path) -> None:
    written(tmp_path, one(32), one(16, key="other", run="b"))
    trunk.record(str(tmp_path / "c"), one(8, run="c"))  # killed before its checkpoint was whole
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / places.TRUNK).write_text('{"key": "k"}')
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / places.TRUNK).write_text("{")
    assert trunk.find(str(tmp_path), storage.list_files(str(tmp_path)), "k") == [one(32)]


@pytest.mark.parametrize(
    ("decay_at", "step"),
    [
        pytest.param(64, 32, id="the-longest-that-ends-before-the-decay"),
        pytest.param(32, 32, id="the-decay-may-begin-where-it-ends"),
        pytest.param(31, 16, id="a-longer-ones-own-would-be-too-late"),
        pytest.param(8, None, id="none-for-a-shorter-run"),
    ],
)
def test_the_longest_trunk_before_the_decay_is_taken(decay_at: int, step: int | None) -> None:
    found = trunk.longest([one(16), one(32, run="b")], lambda each: each.step <= decay_at)
    assert (found.step if found is not None else None) == step
