"""Which document goes where: held out or trained on, in which partition, at which place. Pure, on arrays.

Owns the split by repository and the shuffle. Depends on the documents and the seed only: not on cores, not on
the order of the documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xxhash

from daybreak_contracts.errors import UserError
from daybreak_contracts.layouts.shards import HELD_OUT, TRAIN
from daybreak_data.tokenizer.sample import Hashes, Longs, scrambled

REPOSITORY = "repository"
FILE = "file"

# A partition is one task's work. 192 MiB of code are about 110 MB of tokens: two full shards. Small corpora are cut
# finer, so that 16 cores have something to do, but never below 8 MiB: each partition ends with a padded sample.
PARTITION_BYTES = 192 << 20
SMALLEST_PARTITION_BYTES = 8 << 20
PARTITIONS_OF_SMALL_CORPUS = 16


@dataclass(frozen=True)
class Split:
    """The rule of the split: a unit is held out when its hash is at most ``cut`` and not an exception."""

    unit: str
    """``repository``, or ``file`` when there is only one repository."""
    cut: int
    never: tuple[int, ...]
    """Hashes of units that are trained on whatever the cut: each is more than the whole held-out share."""
    note: str = ""

    def held_out(self, units: Hashes) -> npt.NDArray[np.bool_]:
        """Tell for each unit's hash whether training never sees it."""
        exceptions = np.array(self.never, np.uint64)
        return np.asarray((units <= np.uint64(self.cut)) & ~np.isin(units, exceptions))


@dataclass(frozen=True)
class ShardPlan:
    """The split, and how many partitions each side has. Partitions of ``held_out`` come after those of ``train``."""

    split: Split
    seed: int
    num_train: int
    num_held_out: int
    num_documents: int

    @property
    def num_partitions(self) -> int:
        """Partitions of both sides together."""
        return self.num_train + self.num_held_out

    def name(self, partition: int) -> tuple[str, str]:
        """Return side and folder of a partition."""
        if partition < self.num_train:
            return TRAIN, f"part-{partition:05}"
        return HELD_OUT, f"part-{partition - self.num_train:05}"

    def place(self, repositories: Sequence[str], path_ids: Longs) -> tuple[npt.NDArray[np.int32], Longs]:
        """Return the partition of each document and its key in the partition's order."""
        order = scrambled(path_ids, self.seed)
        held_out = self.split.held_out(unit_hashes(self.split.unit, repositories, path_ids, self.seed))
        train_part = (order % np.uint64(max(1, self.num_train))).astype(np.int32)
        held_out_part = (order % np.uint64(max(1, self.num_held_out))).astype(np.int32) + self.num_train
        return np.where(held_out, held_out_part, train_part).astype(np.int32), order.view(np.int64)


def unit_hashes(unit: str, repositories: Sequence[str], path_ids: Longs, seed: int) -> Hashes:
    """Return the hash of each document's unit."""
    if unit == FILE:
        return scrambled(path_ids, seed + 1)
    known: dict[str, int] = {}
    for name in repositories:
        if name not in known:
            known[name] = xxhash.xxh64_intdigest(name or "", seed=seed)
    return np.array([known[name] for name in repositories], np.uint64)


def num_partitions(num_bytes: int) -> int:
    """Return how many partitions this much text is cut into, whatever the number of cores.

    >>> num_partitions(1), num_partitions(60 << 20), num_partitions(1 << 40)
    (1, 7, 5462)
    """
    small = min(PARTITIONS_OF_SMALL_CORPUS, num_bytes // SMALLEST_PARTITION_BYTES)
    return max(1, small, -(-num_bytes // PARTITION_BYTES))


def choose_split(units: Hashes, sizes: Longs, share: float) -> tuple[int, tuple[int, ...]]:
    """Return cut and exceptions for two or more units (distinct hashes) and their bytes.

    In the order of their hashes, units are held out until they have ``share`` of the bytes. A unit that is larger
    than the whole share never is, else one big repository would take most of the data from training; only where all
    are that large, the smallest is held out. So a repository that was held out stays so when others are added
    behind it, and at least one is on each side.
    """
    target = share * float(sizes.sum())
    large = sizes > target
    if large.all():
        cut = units[np.lexsort((units, sizes))[0]]
        never = units[units < cut]
    else:
        order = np.argsort(units[~large])
        reached = np.cumsum(sizes[~large][order])
        last = min(int(np.searchsorted(reached, target)), len(order) - 1)
        cut = units[~large][order][last]
        never = units[large & (units <= cut)]
    if (units <= cut).sum() - len(never) == len(units):
        cut = np.sort(units)[-2]  # equal tiny units can all fit: keep one for training
    return int(cut), tuple(int(value) for value in np.sort(never))


def make_plan(
    repositories: Sequence[str], path_ids: Longs, sizes: Longs, share: float, seed: int
) -> ShardPlan:
    """Return the plan for these documents; fewer than two of them cannot be split, which is a UserError.

    One repository alone is split by file: a person may well train on a single one, and a held-out part that shares
    its style with training is worth more than none, if it is said.
    """
    if len(path_ids) < 2:
        raise UserError(
            f"{len(path_ids)} document(s) are left to make shards of, at least two are needed (one to train on, one "
            "held out): add sources, or look at the x-ray for what was dropped and why"
        )
    unit, note = REPOSITORY, ""
    if len(set(repositories)) == 1:
        unit = FILE
        note = (
            f"only one repository ({repositories[0] or 'unnamed'}): held out by file, so scores on the held-out part "
            "are better than they would be on unseen repositories"
        )
    hashes = unit_hashes(unit, repositories, path_ids, seed)
    distinct, inverse = np.unique(hashes, return_inverse=True)
    totals = np.bincount(inverse, weights=sizes).astype(np.int64)
    split = Split(unit, *choose_split(distinct, totals, share), note)
    held_out = split.held_out(hashes)
    return ShardPlan(
        split,
        seed,
        num_train=num_partitions(int(sizes[~held_out].sum())),
        num_held_out=num_partitions(int(sizes[held_out].sum())),
        num_documents=len(path_ids),
    )
