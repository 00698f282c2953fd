"""The seeded sample of a source: the files with the smallest hashes, as many as fit into a number of bytes.

Adding a file to the source keeps the others' order, so the sample stays nearly the same. Reads no file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import xxhash

EVERYTHING = (1 << 64) - 1


@dataclass(frozen=True)
class HashSample:
    """Which files are in: those whose key is not above ``limit``."""

    seed: int
    limit: int = EVERYTHING

    def takes(self, repository: str, path: str) -> bool:
        """Tell whether this file is in the sample."""
        return self.limit == EVERYTHING or sample_key(self.seed, repository, path) <= self.limit


def sample_key(seed: int, repository: str, path: str) -> int:
    """Return a 64-bit number that is uniform over files and fixed by the seed."""
    return xxhash.xxh3_64_intdigest(f"{repository}\0{path}".encode(), seed=seed)


def draw(files: Iterable[tuple[str, str, int]], seed: int, max_bytes: int) -> HashSample:
    """Return the sample of ``(repository, path, size)`` that fits into ``max_bytes``; one file at least."""
    keys, sizes = [], []
    for repository, path, size in files:
        keys.append(sample_key(seed, repository, path))
        sizes.append(size)
    if not keys:
        return HashSample(seed)
    key_array, size_array = np.array(keys, dtype=np.uint64), np.array(sizes, dtype=np.int64)
    order = np.argsort(key_array, kind="stable")
    fitting = int(np.searchsorted(np.cumsum(size_array[order]), max_bytes, side="right"))
    if fitting == len(order):
        return HashSample(seed)
    return HashSample(seed, int(key_array[order[max(fitting, 1) - 1]]))
