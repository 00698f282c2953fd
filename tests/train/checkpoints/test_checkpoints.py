"""A checkpoint is whole or does not exist; what is torn, changed or hostile is passed over and said."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
from pathlib import Path

import pytest
import torch

from daybreak_contracts import storage
from daybreak_contracts.errors import ArtifactError, TransientError, UserError
from daybreak_train import places
from daybreak_train.checkpoints import snapshots
from daybreak_train.checkpoints.ownership import Owner
from daybreak_train.checkpoints.snapshots import Snapshot
from daybreak_train.checkpoints.writer import CheckpointStore, CheckpointWriter

RUN = "c" * 64


def snapshot(step: int) -> Snapshot:
    weights = {"a": torch.arange(12.0).reshape(3, 4) + step, "b": torch.tensor(step)}
    return Snapshot(
        step=step,
        tensors={"model": weights, "optimizer": {"a/step": torch.tensor(float(step))}, "random": {}},
        state={"elapsedSeconds": 1.5},
        ledger=b'{"step": 1}\n',
    )


def folder_with(tmp_path: Path, *steps: int) -> str:
    folder = str(tmp_path / "checkpoints")
    for step in steps:
        snapshots.write(folder, snapshot(step), RUN, str(tmp_path / "work"))
    return folder


def newest(folder: str) -> tuple[int | None, list[str]]:
    said: list[str] = []
    found = snapshots.newest(folder, RUN, said.append)
    return (None if found is None else found.step), said


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, 7)
    found = snapshots.read(snapshots.uri_of(folder, 7), RUN)
    assert (found.step, found.state, found.ledger) == (7, {"elapsedSeconds": 1.5}, b'{"step": 1}\n')
    assert torch.equal(found.tensors["model"]["a"], snapshot(7).tensors["model"]["a"])
    assert set(found.tensors) == {"model", "optimizer", "random"}


def test_there_is_none_before_the_first(tmp_path: Path) -> None:
    assert newest(str(tmp_path / "nothing")) == (None, [])


DAMAGE = {
    "model-cut-in-half": ("model.safetensors", lambda data: data[: len(data) // 2]),
    "model-empty": ("model.safetensors", lambda data: b""),
    "one-bit-of-the-optimizer": ("optimizer.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "state-changed": ("state.json", lambda data: data.replace(b"1.5", b"9.5")),
    "manifest-cut": ("manifest.json", lambda data: data[:40]),
    "manifest-of-something-else": ("manifest.json", lambda data: b'{"step": 9}'),
    "manifest-of-a-later-format": (
        "manifest.json",
        lambda data: data.replace(b'"format": 1', b'"format": 2'),
    ),
    "ledger-gone": ("ledger.jsonl", None),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(kind: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path, 10, 20)
    name, change = DAMAGE[kind]
    file = Path(snapshots.uri_of(folder, 20)) / name
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    step, said = newest(folder)
    assert step == 10
    assert len(said) == 1
    assert "step-000000000020" in said[0]


def test_a_folder_without_manifest_does_not_exist(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, 10, 20)
    (Path(snapshots.uri_of(folder, 20)) / "manifest.json").unlink()
    assert newest(folder) == (10, [])


def test_no_valid_one_among_some_is_refused_instead_of_starting_over(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, 10, 20)
    for step in (10, 20):
        (Path(snapshots.uri_of(folder, step)) / "state.json").write_text("{}")
    with pytest.raises(ArtifactError, match="none of the 2 checkpoints is valid; remove the folder"):
        newest(folder)


def test_a_checkpoint_of_another_run_is_not_loaded(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, 10)
    with pytest.raises(ArtifactError, match="belongs to another run"):
        snapshots.read(snapshots.uri_of(folder, 10), "d" * 64)


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
def test_a_hostile_pickle_is_refused_even_with_a_fitting_manifest(name: str, tmp_path: Path) -> None:
    folder, mark = folder_with(tmp_path, 10), tmp_path / "owned"
    target = Path(snapshots.uri_of(folder, 10))
    if name == "model.safetensors":
        torch.save({"weights": Hostile(mark)}, target / name)
    else:
        (target / name).write_bytes(pickle.dumps(Hostile(mark)))
    manifest = json.loads((target / "manifest.json").read_text())
    manifest["files"][name] = {
        "size": (target / name).stat().st_size,
        "sha256": snapshots.artifacts.digest_of_file(target / name),
    }
    (target / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError):
        snapshots.newest(folder, RUN, lambda text: None)
    assert not mark.exists()


def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, 10)
    target = Path(snapshots.uri_of(folder, 10)) / "manifest.json"
    target.write_text(target.read_text().replace("model.safetensors", "../../model.safetensors"))
    with pytest.raises(ArtifactError):
        snapshots.read(snapshots.uri_of(folder, 10), RUN)


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, 1, 2, 3, 4)
    snapshots.prune(folder, 2)
    assert snapshots.steps_in(folder) == [4, 3]
    assert sorted(path.name for path in Path(folder).iterdir()) == ["step-000000000003", "step-000000000004"]


def test_writing_the_same_step_again_replaces_a_torn_one(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, 5)
    (Path(snapshots.uri_of(folder, 5)) / "model.safetensors").write_bytes(b"torn")
    snapshots.write(folder, snapshot(5), RUN, str(tmp_path))
    assert newest(folder) == (5, [])


def _write_for_ever(folder: str) -> None:
    for step in range(1, 10_000):
        snapshots.write(folder, snapshot(step), RUN, folder)
        snapshots.prune(folder, 3)


@pytest.mark.slow
def test_killed_at_any_moment_the_newest_that_shows_is_valid(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    folder, last = str(tmp_path / "checkpoints"), 0
    pauses = [0.05, 0.11, 0.17, 0.23]
    for pause in pauses:
        writer = context.Process(target=_write_for_ever, args=(folder,))
        writer.start()
        writer.join(pause)
        writer.kill()
        writer.join()
        step, said = newest(folder)
        assert said == []
        last = max(last, step or 0)
        if pause == pauses[-1] and last == 0 and pause < 30.0:
            pauses.append(2 * pause)  # a busy machine: nothing was written yet
    assert last > 0


def test_the_writer_commits_in_the_background_and_keeps_some(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path / "checkpoints"), RUN, str(tmp_path), keep=2)
    with CheckpointWriter(store) as writer:
        for step in (1, 2, 3):
            writer.save(snapshot(step))
        writer.wait()
        assert snapshots.steps_in(store.folder) == [3, 2]


def test_two_trainings_of_one_run_are_kept_apart(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path / "checkpoints"), RUN, str(tmp_path), keep=2)
    with (
        CheckpointWriter(store),
        pytest.raises(TransientError, match="another training of this run is at work"),
    ):
        CheckpointWriter(store)
    with CheckpointWriter(store):
        pass


@pytest.mark.slow
def test_in_a_bucket_the_training_that_began_last_has_the_checkpoints(bucket: str, tmp_path: Path) -> None:
    """Two attempts of one run: the pod of the first lies on a machine that nobody reaches."""
    first = CheckpointStore(bucket, RUN, str(tmp_path / "a"), keep=2, owner=Owner("mine", "1"))
    second = CheckpointStore(bucket, RUN, str(tmp_path / "b"), keep=2, owner=Owner("mine", "1"))
    with CheckpointWriter(first) as left_behind:
        left_behind.save(snapshot(1))
        left_behind.wait()
        with CheckpointWriter(second) as writer:
            left_behind.save(snapshot(2))
            with pytest.raises(
                TransientError, match=r"a training that began later, of mine \(uid 1\), writes here"
            ):
                left_behind.wait()
            writer.save(snapshot(3))
    assert newest(bucket) == (3, [])
    assert snapshots.steps_in(bucket) == [3, 1]
    assert not storage.exists(storage.join(bucket, places.WRITER)), "nobody has to wait for it"


@pytest.mark.slow
def test_a_mark_that_was_removed_stops_nobody(bucket: str, tmp_path: Path) -> None:
    with CheckpointWriter(CheckpointStore(bucket, RUN, str(tmp_path), keep=2)) as writer:
        storage.remove_tree(bucket)
        writer.save(snapshot(1))
    assert newest(bucket) == (1, [])


def test_an_unwritable_place_is_the_users_error_and_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(UserError):
        snapshots.write(str(blocked / "checkpoints"), snapshot(1), RUN, str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.slow
def test_checkpoints_live_in_a_bucket_too(bucket: str, tmp_path: Path) -> None:
    for step in (1, 2, 3):
        snapshots.write(bucket, snapshot(step), RUN, str(tmp_path))
    snapshots.prune(bucket, 2)
    assert newest(bucket) == (3, [])
    storage.write_bytes(storage.join(bucket, "step-000000000003/model.safetensors"), b"torn")
    step, said = newest(bucket)
    assert (step, len(said)) == (2, 1)
    assert list(tmp_path.iterdir()) == []
