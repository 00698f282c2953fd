"""Which samples make up which step, and which of them each process takes.

Owns the order of an epoch and how a global batch is shared; both depend on data and seed alone, so that every number of
processes sees the same batches. Reads nothing.

The order is StreamingDataset's for one process (shuffle ``py1e``, orders that are pinned below), computed as a whole:
its own split asks for a number of processes that divides the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daybreak_train.lean_imports import import_streaming
from daybreak_train.pod.environment import ProcessPlacement

import_streaming()
from streaming.base.shuffle.py1e import get_shuffle_py1e  # noqa: E402 - found by way of the lean import alone

MANY_SAMPLES = 1 << 20
CANONICAL_NODES = 64
"""Independent paths through a large data set, so that a machine need not fetch all of it; fixed for the same reason."""
SHUFFLE_BLOCK = 4_000_000
"""Samples among which a shard's are strewn, over all paths (StreamingDataset's default)."""
SMALLEST_BLOCK = 1 << 18
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class StreamPosition:
    """The next batch: epoch and batch within it, both from 0."""

    epoch: int = 0
    batch: int = 0

    @classmethod
    def at_step(cls, step: int, batches_per_epoch: int) -> StreamPosition:
        """Return where step ``step`` (from 0) reads."""
        return cls(*divmod(step, batches_per_epoch))


def epoch_order(shard_sizes: Sequence[int], seed: int, epoch: int) -> Ids:
    """Return all sample ids in the order in which epoch ``epoch`` shows them, each once."""
    count = sum(shard_sizes)
    paths = CANONICAL_NODES if count >= MANY_SAMPLES else 1
    block = max(SHUFFLE_BLOCK // paths, SMALLEST_BLOCK)
    shuffled = get_shuffle_py1e(np.array(shard_sizes, dtype=np.int64), paths, seed, epoch, block)
    order: Ids = shuffled[_across_paths(count, paths)]
    return order


def _across_paths(count: int, paths: int) -> Ids:
    """Return positions 0 .. count - 1, one of each path in turn; paths differ by one sample at most."""
    bounds = np.arange(paths + 1, dtype=np.int64) * count // paths
    longest = int(np.diff(bounds).max())
    grid = bounds[:-1, None] + np.arange(longest, dtype=np.int64)
    positions: Ids = grid.T[(grid < bounds[1:, None]).T]
    return positions


def share_of(samples: Ids, placement: ProcessPlacement) -> Ids:
    """Return this process's part of a global batch: all parts are as large as each other, or one sample apart.

    Position p goes to machine p mod machines, so that with 64 paths and a divisor of 64 machines each reads its own.
    """
    position = np.arange(len(samples))
    machines = placement.num_nodes
    owner = position % machines * placement.local_world_size
    owner += position // machines % placement.local_world_size
    mine: Ids = samples[owner == placement.rank]
    return mine


def global_batches(
    shard_sizes: Sequence[int], samples_per_step: int, seed: int, start: StreamPosition
) -> Iterator[tuple[int, Ids]]:
    """Yield epoch and sample ids of every global batch from ``start`` on, without end.

    An epoch is as many whole batches as fit into the data set; the few samples beyond them are others in every epoch.
    """
    batches_per_epoch = sum(shard_sizes) // samples_per_step
    position = start
    while True:
        order = epoch_order(shard_sizes, seed, position.epoch)
        for batch in range(position.batch, batches_per_epoch):
            yield position.epoch, order[batch * samples_per_step : (batch + 1) * samples_per_step]
        position = StreamPosition(position.epoch + 1)
