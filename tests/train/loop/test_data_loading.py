"""Which sample comes when depends on the data and the seed alone."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_train.loop.data_loading import (
    Collator,
    SampleShape,
    Shards,
    TokenDataset,
    TrainStream,
    VerifiedStream,
    batch_digest,
    fetch,
    held_out_batches,
    prepare,
)
from daybreak_train.loop.sample_order import StreamPosition
from daybreak_train.objectives.next_token import NextTokenObjective
from daybreak_train.objectives.protocol import IGNORED
from daybreak_train.pod.environment import ProcessPlacement

pytestmark = pytest.mark.slow

SHAPE = SampleShape(context_length=64, vocabulary_size=512, pad_id=4)
BATCH = 64


@pytest.fixture
def shards(made: Any, tmp_path: Path) -> Shards:
    return Shards(made.shards, artifacts.load(made.shards), tmp_path / "cache")


def ids_of(shards: Shards, start: StreamPosition, steps: int, seed: int = 5) -> list[list[int]]:
    stream = TrainStream(shards, ProcessPlacement(), BATCH, seed, Collator(NextTokenObjective(), SHAPE))
    batches = stream.batches(start)
    out = [next(batches)["sample_ids"].tolist() for _ in range(steps)]
    stream.close()
    return out


def test_epochs_show_every_sample_at_most_once_in_new_orders(shards: Shards) -> None:
    per_epoch = shards.num_train_samples // BATCH
    order = ids_of(shards, StreamPosition(), 2 * per_epoch)
    epochs = [list(itertools.chain(*part)) for part in (order[:per_epoch], order[per_epoch:])]
    assert all(len(set(ids)) == len(ids) == per_epoch * BATCH for ids in epochs)
    assert epochs[0] != epochs[1]
    assert ids_of(shards, StreamPosition(), 3, seed=6) != order[:3]


@pytest.mark.parametrize("step", [1, 7, 19, 20, 21, 33])
def test_any_step_can_be_gone_on_from(step: int, shards: Shards) -> None:
    per_epoch = shards.num_train_samples // BATCH
    order = ids_of(shards, StreamPosition(), 36)
    start = StreamPosition.at_step(step, per_epoch)
    assert ids_of(shards, start, 36 - step) == order[step:]


def test_batches_hold_the_samples_that_their_ids_name(shards: Shards) -> None:
    stream = TrainStream(shards, ProcessPlacement(), BATCH, 5, Collator(NextTokenObjective(), SHAPE))
    batch = next(stream.batches(StreamPosition()))
    row = stream._dataset[int(batch["sample_ids"][3])]["tokens"]
    stream.close()
    assert np.array_equal(batch["tokens"][3].numpy(), row)
    assert batch["labels"][3, :-1].tolist() == batch["tokens"][3, 1:].tolist()


@pytest.mark.parametrize("world", [2, 3])
def test_any_number_of_processes_reads_the_batch_of_one(world: int, shards: Shards) -> None:
    alone = TrainStream(shards, ProcessPlacement(), BATCH, 5, Collator(NextTokenObjective(), SHAPE))
    whole = next(alone.batches(StreamPosition(1, 3)))
    rows = dict(zip(whole["sample_ids"].tolist(), whole["tokens"].tolist(), strict=True))
    met: dict[int, list[int]] = {}
    for rank in range(world):
        placement = ProcessPlacement(rank=rank, world_size=world)
        stream = TrainStream(shards, placement, BATCH, 5, Collator(NextTokenObjective(), SHAPE))
        batch = next(stream.batches(StreamPosition(1, 3)))
        assert len(batch["tokens"]) == -(-BATCH // world), "equal shapes in all processes"
        added = batch["sample_ids"] < 0
        assert (batch["labels"][added] == IGNORED).all(), "nothing is trained on twice"
        kept = zip(batch["sample_ids"][~added].tolist(), batch["tokens"][~added].tolist(), strict=True)
        for at, tokens in kept:
            assert at not in met
            met[at] = tokens
    assert met == rows


def test_the_digest_of_a_batch_does_not_depend_on_the_order_of_ranks() -> None:
    ids, digests = np.array([4, 1, 9]), np.array([40, 10, 90])
    assert batch_digest(ids, digests) == batch_digest(ids[::-1], digests[::-1])
    assert batch_digest(ids, digests) != batch_digest(ids, digests + 1)
    assert batch_digest(ids, digests) != batch_digest(ids + 1, digests)


def test_ranks_share_the_held_out_samples(shards: Shards) -> None:
    collate = Collator(NextTokenObjective(), SHAPE)
    alone = [
        i
        for b in held_out_batches(shards, ProcessPlacement(), 10, 4, collate)
        for i in b["sample_ids"].tolist()
    ]
    shared = []
    for rank in range(2):
        placement = ProcessPlacement(rank=rank, world_size=2)
        for batch in held_out_batches(shards, placement, 10, 4, collate):
            shared += batch["sample_ids"].tolist()
    assert sorted(shared) == alone == sorted(set(alone))
    assert len(alone) == 10


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        pytest.param(SampleShape(128, 512, 4), "samples of 64 tokens but contextLength is 128", id="context"),
        pytest.param(SampleShape(64, 200, 4), "but the tokenizer has 200", id="vocabulary"),
    ],
)
def test_samples_of_other_inputs_are_refused(shape: SampleShape, message: str) -> None:
    sample = {"tokens": np.full(64, 300, dtype=np.uint16), "sample_id": 0, "epoch": 0}
    with pytest.raises(UserError, match=message):
        Collator(NextTokenObjective(), shape)([sample])


@pytest.fixture
def remote(made: Any, bucket: str, tmp_path: Path) -> Shards:
    storage.copy_tree(made.shards, bucket)
    return Shards(bucket, artifacts.load(bucket), tmp_path / "cache")


def test_remote_shards_are_fetched_when_they_are_needed(remote: Shards, shards: Shards) -> None:
    prepare(remote)
    assert sorted(path.name for path in remote.cache.rglob("*") if path.is_file()) == [
        "index.json",
        "index.json",
    ]
    assert ids_of(remote, StreamPosition(), 4) == ids_of(shards, StreamPosition(), 4)
    assert len(list(remote.cache.rglob("shard.*.mds"))) >= 1


def test_a_remote_shard_that_was_changed_ends_the_training(remote: Shards) -> None:
    prepare(remote)
    for entry in remote.manifest.files:
        if entry.path.endswith(".mds") and entry.path.startswith("train"):
            storage.write_bytes(storage.join(remote.uri, entry.path), b"\0" * entry.size)
    with pytest.raises(ArtifactError, match="was changed after it was committed"):
        ids_of(remote, StreamPosition(), 4)


def test_a_cached_shard_that_was_changed_is_fetched_again(remote: Shards) -> None:
    prepare(remote)
    path = next(entry.path for entry in remote.manifest.files if entry.path.startswith("train/shard"))
    cached = fetch(remote, path)
    good = cached.read_bytes()
    cached.write_bytes(b"torn")
    prepare(remote)
    assert not cached.exists()
    assert fetch(remote, path).read_bytes() == good


def test_a_shard_that_cannot_be_fetched_is_tried_again_by_the_next(remote: Shards) -> None:
    prepare(remote)
    paths = [entry.path for entry in remote.manifest.files if entry.path.startswith("train/shard")]
    good = {path: storage.read_bytes(storage.join(remote.uri, path)) for path in paths}
    dataset = TokenDataset(streams=[VerifiedStream(remote, "train")], batch_size=BATCH)
    for path, data in good.items():
        storage.write_bytes(storage.join(remote.uri, path), b"\0" * len(data))
    for _ in range(2):
        with pytest.raises(ArtifactError, match="was changed"):
            dataset[0]
    for path, data in good.items():
        storage.write_bytes(storage.join(remote.uri, path), data)
    assert dataset[0]["tokens"].shape == (64,)


@pytest.mark.slow
def test_the_lean_import_leaves_the_package_whole_for_others() -> None:
    code = "import daybreak_train.loop.data_loading; from streaming import MDSWriter, StreamingDataset"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=120)
