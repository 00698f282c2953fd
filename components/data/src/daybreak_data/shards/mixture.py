"""How often a training document is written, by its source and language, and where its copies lie. Pure, on arrays.

Owns the weights of a mixture (``data.mixture``). A document's copies depend on its path id and the seed alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from daybreak_contracts.resources.data import MixtureRow
from daybreak_data.tokenizer.sample import Hashes, Longs, scrambled

FRACTION_SEED = 2
"""Beside the seeds of the order (0) and of the split by file (1)."""
_ALL = 1 << 64
GOLDEN_STEP = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Mixture:
    """The rows of a manifest; none means that every document is written once."""

    rows: tuple[MixtureRow, ...] = ()

    def epochs(self, source: str, language: str) -> Decimal:
        """Return how often documents of this source and language are written: the product of what matches.

        >>> rows = (MixtureRow(source="a", epochs="3"), MixtureRow(language="sql", epochs="0.5"))
        >>> [str(Mixture(rows).epochs(*of)) for of in (("a", "sql"), ("a", "c"), ("b", "c"))]
        ['1.5', '3', '1']
        """
        product = Decimal(1)
        for row in self.rows:
            if row.source in (None, source) and row.language in (None, language):
                product *= Decimal(row.epochs)
        return product

    def copies(
        self, sources: Sequence[str], languages: Sequence[str], path_ids: Longs, seed: int
    ) -> npt.NDArray[np.int64]:
        """Return how often each document is written. Of a fraction, a document that is in stays in when it grows."""
        if not self.rows:
            return np.ones(len(path_ids), np.int64)
        wanted = functools.cache(self._whole_and_cut)
        pairs = [wanted(*pair) for pair in zip(sources, languages, strict=True)]
        whole = np.array([times for times, _ in pairs], np.int64)
        cut = np.array([limit for _, limit in pairs], np.uint64)
        return whole + (scrambled(path_ids, seed + FRACTION_SEED) < cut)

    def _whole_and_cut(self, source: str, language: str) -> tuple[int, int]:
        times, fraction = divmod(self.epochs(source, language), 1)
        return int(times), int(fraction * _ALL)


def spread(order: Hashes, copies: npt.NDArray[np.int64], number: npt.NDArray[np.int64]) -> Hashes:
    """Return the place of copy ``number`` (from 0) of ``copies``; the first one's is ``order`` itself.

    Places lie on a circle of 2 ** 64. Each copy goes one part of it further, and up to half a part more by a hash of
    its own: two copies are at least half a part apart, and meet other neighbours.
    """
    parts = np.uint64(_ALL - 1) // copies.astype(np.uint64)
    moved = scrambled(order.view(np.int64), 1) ^ scrambled(number, 1)
    further = number.astype(np.uint64) * parts + moved % np.maximum(parts // np.uint64(2), np.uint64(1))
    return np.where(number == 0, order, order + further)


def spread_whole(order: Hashes, number: npt.NDArray[np.int64]) -> Hashes:
    """Return the place of copy ``number`` of something whose number of copies nobody knows yet: a repository.

    Steps of the golden ratio around the circle: of any n copies, two are at least a third of an n-th apart.
    """
    return order + number.astype(np.uint64) * np.uint64(GOLDEN_STEP)
