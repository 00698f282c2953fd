"""From a shard artifact to the batches of one rank.

Owns the check of every shard against the artifact's manifest, what is fetched ahead, and how samples become tensors.
Which sample comes in which step says ``sample_order``. Owns no objective and no tensor of the model.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from daybreak_contracts import artifacts, storage
from daybreak_contracts.artifacts import Manifest
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.layouts.shards import HELD_OUT, TRAIN
from daybreak_model.repository_context import Layout
from daybreak_train.lean_imports import import_streaming
from daybreak_train.loop import shared_memory
from daybreak_train.loop.batches_ahead import made_ahead
from daybreak_train.loop.sample_order import Ids, StreamPosition, global_batches, share_of
from daybreak_train.objectives.protocol import IGNORED, SampleObjective, labels_of
from daybreak_train.pod.environment import ProcessPlacement

streaming = import_streaming()
streaming.shared.memory.BuiltinSharedMemory = shared_memory.whole_block

COLUMN = "tokens"
BATCHES_FETCHED_AHEAD = 8
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
    def num_train_tokens(self) -> int:
        """Tokens of the training part."""
        return int(self.manifest.result["num_train_tokens"])

    @property
    def layout(self) -> Layout:
        """How documents are packed."""
        found: Layout = self.manifest.result.get("layout", "File")
        return found

    @property
    def unique_train_tokens(self) -> int:
        """Tokens of the training part without the repetitions that a mixture makes."""
        unique = self.manifest.result.get("num_unique_train_tokens")
        return self.num_train_tokens if unique is None else int(unique)

    @property
    def num_held_out_samples(self) -> int:
        """Samples of the held-out part."""
        return int(self.manifest.result["num_held_out_samples"])

    def local(self, split: str) -> Path:
        """Return the local folder of a part: the artifact's own, or the cache of a remote one."""
        return (
            self.cache if storage.is_remote(self.uri) else storage.local_path(self.uri).absolute()
        ) / split


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

    def _download_file(self, from_basename: str, to_basename: str | None = None) -> str:
        return str(fetch(self._shards, f"{self._split}/{from_basename}"))


class TokenDataset(streaming.StreamingDataset):  # type: ignore[name-defined]
    """StreamingDataset read by sample id alone: the order is ``sample_order``'s, and nothing of it runs ahead."""

    def __getitem__(self, at: Any) -> dict[str, Any]:
        tokens = super().__getitem__(int(at))[COLUMN]
        return {COLUMN: tokens, "sample_id": int(at), "epoch": 0}

    def prepare_shard(self, shard_id: int, blocking: bool = True) -> None:
        """Fetch a shard; one that can't be fetched is free for the next try.

        Streaming leaves it "in preparation" for ever, and everyone else who needs it waits as long.
        """
        try:
            super().prepare_shard(shard_id, blocking)
        except BaseException:
            self._shard_states[shard_id] = streaming.dataset._ShardState.REMOTE
            raise


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
        tokens = np.stack([row.tokens for row in rows])
        self._shape.check(tokens)
        labels = np.stack([labels_of(row, self._shape.pad_id) for row in rows])
        return {
            "tokens": torch.from_numpy(tokens),
            "labels": torch.from_numpy(labels),
            "sample_ids": torch.tensor([sample["sample_id"] for sample in samples]),
            "digests": torch.from_numpy(np.array([_digest(row.tokens) for row in rows], dtype=np.int64)),
        }


def _digest(row: NDArray[np.int64]) -> int:
    return int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little", signed=True)


def batch_digest(sample_ids: NDArray[np.int64], digests: NDArray[np.int64]) -> str:
    """Return 16 hex digits for a global batch; the order in which ranks hold its samples does not matter."""
    order = np.lexsort((digests, sample_ids))
    data = sample_ids[order].tobytes() + digests[order].tobytes()
    return hashlib.blake2b(data, digest_size=8).hexdigest()


class _BatchMaker(torch.utils.data.Dataset[Batch]):
    """Epoch and sample ids in, a batch out: what a process ahead of the step does."""

    def __init__(self, dataset: TokenDataset, size: int, collate: Collator) -> None:
        self._dataset, self._size, self._collate = dataset, size, collate

    def __getitem__(self, wanted: tuple[int, Ids]) -> Batch:
        epoch, ids = wanted
        return filled(self._collate([{**self._dataset[at], "epoch": epoch} for at in ids]), self._size)


def filled(batch: Batch, size: int) -> Batch:
    """Return the batch with as many samples as the largest share: what is added is trained on by nobody.

    So all processes have equal shapes and make equally many passes, whatever their share. An added sample's id is -1.
    """
    missing = size - len(batch["sample_ids"])
    if not missing:
        return batch
    repeated = {
        name: torch.cat((values, values[:1].expand(missing, *values.shape[1:])))
        for name, values in batch.items()
    }
    repeated["labels"][-missing:] = IGNORED
    repeated["sample_ids"][-missing:] = -1
    return repeated


class TrainStream:
    """All batches of one rank, from a position on, without end."""

    def __init__(
        self,
        shards: Shards,
        placement: ProcessPlacement,
        samples_per_step: int,
        seed: int,
        collate: Collator,
        *,
        processes_ahead: int = 0,
    ) -> None:
        self._processes = processes_ahead
        self._made: Generator[Batch, None, None] | None = None
        self.batches_per_epoch = shards.num_train_samples // samples_per_step
        self._samples_per_step, self._seed, self._placement = samples_per_step, seed, placement
        size = -(-samples_per_step // placement.world_size)
        with _registering(placement):
            self._dataset = TokenDataset(streams=[VerifiedStream(shards, TRAIN)], batch_size=size)
        self._ahead = ThreadPoolExecutor(2, "shards") if storage.is_remote(shards.uri) else None
        self._maker = _BatchMaker(self._dataset, size, collate)

    def batches(self, start: StreamPosition) -> Iterator[Batch]:
        """Yield this rank's part of every global batch from ``start`` on, epoch after epoch."""
        wanted = self._fetching(self._shares(start))
        pin_memory = self._processes > 0 and torch.cuda.is_available()
        self._made = made_ahead(self._maker, wanted, self._processes, pin_memory)
        return self._made

    def close(self) -> None:
        """Stop what runs ahead."""
        if self._made is not None:
            self._made.close()
        if self._ahead is not None:
            self._ahead.shutdown(cancel_futures=True)

    def _shares(self, start: StreamPosition) -> Iterator[tuple[int, Ids]]:
        sizes = self._dataset.samples_per_shard.tolist()
        for epoch, ids in global_batches(sizes, self._samples_per_step, self._seed, start):
            yield epoch, share_of(ids, self._placement)

    def _fetching(self, shares: Iterator[tuple[int, Ids]]) -> Iterator[tuple[int, Ids]]:
        """Pass the shares on, and fetch the shards of those to come; an error is met again by who reads the sample."""
        if self._ahead is None:
            yield from shares
            return
        waiting: deque[tuple[int, Ids]] = deque()
        seen: set[int] = set()
        for epoch, ids in shares:
            waiting.append((epoch, ids))
            shards = {self._dataset.spanner[int(at)][0] for at in ids} - seen
            seen |= shards
            for shard in sorted(shards):
                self._ahead.submit(self._dataset.prepare_shard, shard, False)
            if len(waiting) > BATCHES_FETCHED_AHEAD:
                yield waiting.popleft()


def held_out_ids(shards: Shards, limit: int) -> list[int]:
    """Return ``limit`` held-out samples, spread evenly over the part, always the same ones."""
    count = min(limit, shards.num_held_out_samples)
    return [index * shards.num_held_out_samples // count for index in range(count)]


def held_out_batches(
    shards: Shards, placement: ProcessPlacement, limit: int, batch_size: int, collate: Collator
) -> Iterator[Batch]:
    """Yield this rank's share of the held-out samples that ``held_out_ids`` names."""
    with _registering(placement):
        dataset = TokenDataset(streams=[VerifiedStream(shards, HELD_OUT)], batch_size=batch_size)
    mine = held_out_ids(shards, limit)[placement.rank :: placement.world_size]
    for start in range(0, len(mine), batch_size):
        yield collate([dataset[index] for index in mine[start : start + batch_size]])
