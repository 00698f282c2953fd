"""Which documents the tokenizer learns from and which only measure it: pure decisions on an index of documents.

Owns the seeded order, the caps per language and the held-out share. Reads no text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

TEMPERATURE = 0.7
"""A language with n bytes gets a share of n ** 0.7: rare languages count for more.

As in multilingual BERT (google-research/bert, multilingual.md, S = 0.7); XLM-R (arXiv 1911.02116) goes to 0.3."""
HELD_OUT_SHARE = 0.02
HELD_OUT_BYTES = 2 << 20
"""Most bytes of one language that are measured: bytes per token are stable to 1 % from about 1 MiB on."""


@dataclass(frozen=True)
class Index:
    """What is known of each document before its text is read; three arrays of equal length."""

    path_ids: Longs
    languages: npt.NDArray[np.int32]
    """Position of the document's language in a sorted list of names."""
    sizes: Longs
    """UTF-8 bytes."""


@dataclass(frozen=True)
class TokenizerSample:
    """Sorted path ids: what is learned from and what is measured. They share none."""

    learned: Longs
    measured: Longs


def scrambled(values: Longs, seed: int) -> Hashes:
    """Return a hash of each value: SplitMix64's finaliser (Steele, Lea, Flood 2014), the seed mixed in first."""
    mixed = values.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15) % (1 << 64))
    with np.errstate(over="ignore"):
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def language_caps(available: Mapping[str, int], sample_bytes: int) -> dict[str, float]:
    """Return how many bytes of each language may be learned from; together at most ``sample_bytes``.

    What a language cannot fill goes to the others in the same proportions.

    >>> language_caps({"python": 10, "c": 10}, 100)
    {'c': 10.0, 'python': 10.0}
    >>> language_caps({"python": 900, "c": 1}, 100)
    {'c': 1.0, 'python': 99.0}
    """
    caps: dict[str, float] = {}
    left, budget = dict(sorted(available.items())), float(sample_bytes)
    while left:
        weights = {name: size**TEMPERATURE for name, size in left.items()}
        unit = budget / (sum(weights.values()) or 1.0)
        filled = {name: float(size) for name, size in left.items() if size <= unit * weights[name]}
        if not filled:
            return caps | {name: unit * weight for name, weight in weights.items()}
        caps |= filled
        budget -= sum(filled.values())
        left = {name: size for name, size in left.items() if name not in filled}
    return caps


def plan_sample(index: Index, names: list[str], sample_bytes: int, seed: int) -> TokenizerSample:
    """Return the sample. It depends on the documents, the seed and the size, not on the order of the documents."""
    order = np.lexsort((index.path_ids, scrambled(index.path_ids, seed)))
    learned, measured, queues = [], [], {}
    for position, name in enumerate(names):
        queue = order[index.languages[order] == position]
        held_out = _held_out(index.sizes[queue])
        measured.append(queue[:held_out])
        queues[name] = queue[held_out:]
    caps = language_caps(
        {name: int(index.sizes[queue].sum()) for name, queue in queues.items()}, sample_bytes
    )
    for name, queue in queues.items():
        before = np.cumsum(index.sizes[queue]) - index.sizes[queue]
        learned.append(queue[before < caps[name]])
    return TokenizerSample(_ids(index, learned), _ids(index, measured))


def _held_out(sizes: Longs) -> int:
    """Return how many documents of a language are measured: 2 %, at least one where there are two."""
    if len(sizes) < 2:
        return 0
    wanted = max(1, round(len(sizes) * HELD_OUT_SHARE))
    fitting = int(np.searchsorted(np.cumsum(sizes), HELD_OUT_BYTES, side="right"))
    return max(1, min(wanted, fitting))


def _ids(index: Index, parts: list[npt.NDArray[np.int64]]) -> Longs:
    return np.sort(index.path_ids[np.concatenate(parts)]) if parts else np.empty(0, np.int64)
