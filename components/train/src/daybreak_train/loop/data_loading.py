"""From a shard artifact to batches: which sample, in which step, on which rank.

Owns the order of samples (StreamingDataset's elastic order, pinned), the check of every shard against the artifact's
manifest, and the position from which a run goes on. Owns no objective and no tensor of the model.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from daybreak_contracts import artifacts, storage
from daybreak_contracts.artifacts import Manifest
from daybreak_contracts.errors import ArtifactError, DaybreakError, UserError
from daybreak_train.lean_imports import import_streaming
from daybreak_train.loop import shared_memory
from daybreak_train.objectives.protocol import SampleObjective, labels_of
from daybreak_train.pod.environment import ProcessPlacement

streaming = import_streaming()

TRAIN = "train"
HELD_OUT = "held_out"
COLUMN = "tokens"
MANY_SAMPLES = 1 << 20
CANONICAL_NODES = 64
"""Independent paths through a large data set; fixed, so that any number of machines sees the same order."""
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Shards:
    """A shard artifact: where it is, what it should hold, where remote parts are kept."""

    uri: str
    manifest: Manifest
    cache: Path

    @property
    def num_train_samples(self) -> int:
        """Samples of the training part."""
        return int(self.manifest.result["num_train_samples"])

    @property
    def num_held_out_samples(self) -> int:
        """Samples of the held-out part."""
        return int(self.manifest.result["num_held_out_samples"])

    def local(self, split: str) -> Path:
        """Return the local folder of a part: the artifact's own, or the cache of a remote one."""
        return (
            self.cache if storage.is_remote(self.uri) else storage.local_path(self.uri).absolute()
        ) / split


@dataclass(frozen=True)
class StreamPosition:
    """The next batch: epoch and batch within it, both from 0."""

    epoch: int = 0
    batch: int = 0

    @classmethod
    def at_step(cls, step: int, batches_per_epoch: int) -> StreamPosition:
        """Return where step ``step`` (from 0) reads."""
        return cls(*divmod(step, batches_per_epoch))


def prepare(shards: Shards) -> None:
    """Verify the artifact once a machine, before anything is read. A changed shard is an ArtifactError.

    Of a remote artifact the indexes are fetched now and each shard when it is needed, checked as it arrives;
    a cached one that differs is thrown away.
    """
    if not storage.is_remote(shards.uri):
        artifacts.verify(shards.uri, shards.manifest)
        return
    for entry in shards.manifest.files:
        target = shards.cache / entry.path
        if target.exists() and artifacts.digest_of_file(target) != entry.sha256:
            target.unlink()
        if entry.path.endswith("index.json") and not target.exists():
            fetch(shards, entry.path)


def fetch(shards: Shards, path: str) -> Path:
    """Copy one file of a remote artifact into the cache; it appears there only when its digest is right."""
    entry = next((entry for entry in shards.manifest.files if entry.path == path), None)
    if entry is None:
        raise ArtifactError(f"{shards.uri}: {path} is not in its manifest")
    target = shards.cache / path
    partial = target.with_name(f".{target.name}.partial")
    storage.copy_file(storage.join(shards.uri, path), str(partial))
    if artifacts.digest_of_file(partial) != entry.sha256:
        partial.unlink()
        raise ArtifactError(
            f"{shards.uri}/{path}: was changed after it was committed, run the shard step again"
        )
    partial.replace(target)
    return target


class VerifiedStream(streaming.Stream):  # type: ignore[name-defined]
    """A stream whose missing files come through our storage and are checked against the manifest."""

    def __init__(self, shards: Shards, split: str) -> None:
        super().__init__(local=str(shards.local(split)))
        self._shards = shards
        self._split = split
        self.failure: DaybreakError | None = None

    def _download_file(self, from_basename: str, to_basename: str | None = None) -> str:
        try:
            return str(fetch(self._shards, f"{self._split}/{from_basename}"))
        except DaybreakError as error:
            self.failure = error  # this runs in a thread whose errors nobody reads
            raise


class TokenDataset(streaming.StreamingDataset):  # type: ignore[name-defined]
    """StreamingDataset whose samples know their global id and the epoch they are met in."""

    epoch = 0

    def _get_work(self, epoch: int, sample_in_epoch: int) -> NDArray[np.int64]:
        self.epoch = epoch
        work: NDArray[np.int64] = super()._get_work(epoch, sample_in_epoch)
        return work

    def on_exception(self, future: Any) -> None:
        """Count a reading thread that failed as ended: streaming counts only those that end in order.

        It would wait for ever for the others when both failed at once, and the error would never be seen.
        """
        if future.exception() is not None:
            self._iterator.on_exit()
        super().on_exception(future)

    def __getitem__(self, at: Any) -> dict[str, Any]:
        tokens = super().__getitem__(int(at))[COLUMN]
        return {COLUMN: tokens, "sample_id": int(at), "epoch": self.epoch}


@dataclass(frozen=True)
class SampleShape:
    """What every sample must fit: tokens a sample, ids below the vocabulary, the id of padding."""

    context_length: int
    vocabulary_size: int
    pad_id: int

    def check(self, tokens: NDArray[np.int64]) -> None:
        """Refuse samples that were made for another context length or another tokenizer."""
        if tokens.shape[-1] != self.context_length:
            raise UserError(
                f"the shards hold samples of {tokens.shape[-1]} tokens but contextLength is {self.context_length}: "
                "run the shard step with this context length"
            )
        if int(tokens.max(initial=0)) >= self.vocabulary_size:
            raise UserError(
                f"the shards hold token {int(tokens.max())} but the tokenizer has {self.vocabulary_size}: "
                "they were made with another tokenizer, run the shard step with this one"
            )


@contextmanager
def _registering(placement: ProcessPlacement) -> Iterator[None]:
    """Make a data set while no other run on this machine does: a node's first process takes the turn for all its."""
    with shared_memory.turn() if placement.local_rank == 0 else nullcontext():
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()  # the others look for a free number too: not before the turn is ours
        yield


class Collator:
    """Applies the objective by global sample id and makes tensors."""

    def __init__(self, objective: SampleObjective, shape: SampleShape) -> None:
        self._objective = objective
        self._shape = shape

    def __call__(self, samples: Sequence[Mapping[str, Any]]) -> Batch:
        """Return ``tokens`` and ``labels`` (batch, context), ``sample_ids`` and ``digests`` (batch,), all int64."""
        rows = [
            self._objective(sample[COLUMN].astype(np.int64), sample["epoch"], sample["sample_id"])
            for sample in samples
        ]
        tokens = np.stack(rows)
        self._shape.check(tokens)
        return {
            "tokens": torch.from_numpy(tokens),
            "labels": torch.from_numpy(labels_of(tokens, self._shape.pad_id)),
            "sample_ids": torch.tensor([sample["sample_id"] for sample in samples]),
            "digests": torch.from_numpy(np.array([_digest(row) for row in rows], dtype=np.int64)),
        }


def _digest(row: NDArray[np.int64]) -> int:
    return int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little", signed=True)


def batch_digest(sample_ids: NDArray[np.int64], digests: NDArray[np.int64]) -> str:
    """Return 16 hex digits for a global batch; the order in which ranks hold its samples does not matter."""
    order = np.lexsort((digests, sample_ids))
    data = sample_ids[order].tobytes() + digests[order].tobytes()
    return hashlib.blake2b(data, digest_size=8).hexdigest()


class TrainStream:
    """All batches of one rank, from a position on, without end."""

    def __init__(
        self, shards: Shards, placement: ProcessPlacement, batch_size: int, seed: int, collate: Collator
    ) -> None:
        self._samples = batch_size
        self._world_size = placement.world_size
        self.batches_per_epoch = shards.num_train_samples // (batch_size * placement.world_size)
        self._canonical_nodes = CANONICAL_NODES if shards.num_train_samples >= MANY_SAMPLES else 1
        if self._canonical_nodes > 1 and CANONICAL_NODES % placement.num_nodes:
            raise UserError(f"{placement.num_nodes} machines: use a number that divides {CANONICAL_NODES}")
        self._seed = seed
        self._stream = VerifiedStream(shards, TRAIN)
        with _registering(placement):
            self._dataset = TokenDataset(
                streams=[self._stream],
                batch_size=batch_size,
                shuffle=True,
                shuffle_seed=seed,
                num_canonical_nodes=self._canonical_nodes,
            )
        # a generator of its own: the loader draws from it at each epoch and must not move the model's
        own = torch.Generator().manual_seed(seed)
        self._loader: DataLoader[Batch] = DataLoader(
            self._dataset, batch_size=batch_size, collate_fn=collate, drop_last=True, generator=own
        )

    def batches(self, start: StreamPosition) -> Iterator[Batch]:
        """Yield this rank's part of every global batch from ``start`` on, epoch after epoch.

        An epoch is as many whole global batches as fit into the data set; the few samples beyond them are others in
        every epoch.
        """
        position = start
        if position != StreamPosition():
            self._dataset.load_state_dict(self._state(position))
        while True:
            wanted = self.batches_per_epoch - position.batch
            got = 0
            for batch in itertools.islice(self._loader, wanted):
                got += 1
                yield batch
            if got < wanted:
                raise self._stream.failure or RuntimeError(
                    f"epoch {position.epoch} ended {wanted - got} batches early"
                )
            position = StreamPosition(position.epoch + 1)

    def close(self) -> None:
        """Stop the threads that read ahead."""
        iterator = getattr(self._dataset, "_iterator", None)
        if iterator is not None:
            iterator.exit()

    def _state(self, position: StreamPosition) -> dict[str, Any]:
        return {
            "epoch": position.epoch,
            "sample_in_epoch": position.batch * self._samples * self._world_size,
            "num_canonical_nodes": self._canonical_nodes,
            "shuffle_seed": self._seed,
            "initial_physical_nodes": None,
        }


def held_out_batches(
    shards: Shards, placement: ProcessPlacement, limit: int, batch_size: int, collate: Collator
) -> Iterator[Batch]:
    """Yield this rank's share of ``limit`` held-out samples, spread evenly over the part, always the same ones."""
    with _registering(placement):
        dataset = TokenDataset(streams=[VerifiedStream(shards, HELD_OUT)], batch_size=batch_size)
    count = min(limit, shards.num_held_out_samples)
    chosen = [index * shards.num_held_out_samples // count for index in range(count)]
    mine = chosen[placement.rank :: placement.world_size]
    for start in range(0, len(mine), batch_size):
        yield collate([dataset[index] for index in mine[start : start + batch_size]])
