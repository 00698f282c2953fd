"""Which document goes where: held out or trained on, in which partition, at which place. Pure, on arrays.

Owns the split by repository and the shuffle. Depends on the documents and the seed only: not on cores, not on
the order of the documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import xxhash

from daybreak_contracts.errors import UserError
from daybreak_contracts.layouts.shards import HELD_OUT, TRAIN
from daybreak_data.shards.mixture import Mixture, spread, spread_whole
from daybreak_data.shards.shares import Group
from daybreak_data.tokenizer.sample import Hashes, Longs, scrambled
from daybreak_model.repository_context import ALONE, Layout

REPOSITORY = "repository"
FILE = "file"
NO_MIXTURE = Mixture()
MOST_COPIES = 64
"""Copies of one document: those of a batch of documents are in memory together."""

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
class Documents:
    """What is known of documents before their text is read; columns of equal length."""

    repositories: Sequence[str]
    sources: Sequence[str]
    languages: Sequence[str]
    path_ids: Longs


@dataclass(frozen=True)
class DocumentPlaces:
    """Where documents are written; arrays of equal length, a row for each copy."""

    rows: npt.NDArray[np.int64]
    """Position of the document among those that were asked for."""
    copies: npt.NDArray[np.int32]
    """Number of the copy, from 0."""
    parts: npt.NDArray[np.int32]
    places: Longs
    """Key in the partition's order."""


@dataclass(frozen=True)
class ShardPlan:
    """The split, and how many partitions each side has. Partitions of ``held_out`` come after those of ``train``."""

    split: Split
    seed: int
    num_train: int
    num_held_out: int
    num_documents: int
    """Documents to write, each copy of one counted."""
    num_bytes: int
    """Their bytes of text."""
    mixture: Mixture = NO_MIXTURE
    layout: Layout = ALONE
    available: Mapping[Group, int] = field(default_factory=dict)
    """Bytes that can be trained on by source and language; empty without a mixture."""

    @property
    def num_partitions(self) -> int:
        """Partitions of both sides together."""
        return self.num_train + self.num_held_out

    def name(self, partition: int) -> tuple[str, str]:
        """Return side and folder of a partition."""
        if partition < self.num_train:
            return TRAIN, f"part-{partition:05}"
        return HELD_OUT, f"part-{partition - self.num_train:05}"

    def place(self, documents: Documents) -> DocumentPlaces:
        """Return where each document lies, a row for each of its copies; held-out ones have one."""
        order = scrambled(documents.path_ids, self.seed)
        held_out = self.split.held_out(
            unit_hashes(self.split.unit, documents.repositories, documents.path_ids, self.seed)
        )
        copies = copies_of(self.mixture, documents, held_out, self.seed)
        rows = np.repeat(np.arange(len(order)), copies)
        number = np.arange(len(rows)) - np.repeat(np.cumsum(copies) - copies, copies)
        place = (
            spread(order[rows], copies[rows], number)
            if self.layout == "File"
            else spread_whole(self._repositories(documents)[rows], number)
        )
        train_part = (place % np.uint64(max(1, self.num_train))).astype(np.int32)
        held_out_part = (place % np.uint64(max(1, self.num_held_out))).astype(np.int32) + self.num_train
        part = np.where(held_out[rows], held_out_part, train_part).astype(np.int32)
        return DocumentPlaces(rows, number.astype(np.int32), part, place.view(np.int64))

    def _repositories(self, documents: Documents) -> Hashes:
        hashes = unit_hashes(REPOSITORY, documents.repositories, documents.path_ids, self.seed)
        return scrambled(hashes.view(np.int64), self.seed)


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


def copies_of(
    mixture: Mixture, documents: Documents, held_out: npt.NDArray[np.bool_], seed: int
) -> npt.NDArray[np.int64]:
    """Return how often each document is written: a held-out one once, whatever the mixture says."""
    copies = mixture.copies(documents.sources, documents.languages, documents.path_ids, seed)
    return np.where(held_out, 1, copies)


def make_plan(
    documents: Documents,
    sizes: Longs,
    share: float,
    seed: int,
    *,
    mixture: Mixture = NO_MIXTURE,
    layout: Layout = ALONE,
) -> ShardPlan:
    """Return the plan for these documents; fewer than two of them cannot be split, which is a UserError.

    The split knows nothing of the mixture: who changes it is judged on the same held-out documents.

    One repository alone is split by file: a person may well train on a single one, and a held-out part that shares
    its style with training is worth more than none, if it is said.
    """
    repositories, path_ids = documents.repositories, documents.path_ids
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
    copies = copies_of(mixture, documents, held_out, seed)
    if int(copies.max()) > MOST_COPIES:
        at = int(copies.argmax())
        raise UserError(
            f"data.mixture gives documents of source {documents.sources[at]} in {documents.languages[at]} "
            f"{mixture.epochs(documents.sources[at], documents.languages[at]):f} epochs, at most {MOST_COPIES} are "
            "written: lower the epochs of a row that matches them"
        )
    if not copies[~held_out].any():
        raise UserError(
            "data.mixture leaves no document to train on: give at least one source or language of them more epochs"
        )
    return ShardPlan(
        split,
        seed,
        num_train=num_partitions(int((sizes * copies)[~held_out].sum())),
        num_held_out=num_partitions(int(sizes[held_out].sum())),
        num_documents=int(copies.sum()),
        num_bytes=int((sizes * copies).sum()),
        mixture=mixture,
        layout=layout,
        available=_bytes_by_group(documents, np.where(held_out, 0, sizes)) if mixture.rows else {},
    )


def _bytes_by_group(documents: Documents, sizes: Longs) -> dict[Group, int]:
    total: Counter[Group] = Counter()
    for source, language, size in zip(documents.sources, documents.languages, sizes.tolist(), strict=True):
        total[source, language] += size
    return dict(sorted(total.items()))
