"""Hashes of runs of words, for whole Arrow batches of texts at once.

Pure arithmetic on bytes in numpy, the same on every machine and for all time: signatures of near-duplicates are
persisted, and the index of evaluation problems is made from the same hashes. Does not know what they are for.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK_BYTES = 4 << 20
# Odd 64-bit multipliers: Knuth's MMIX generator for the prefix sums, splitmix64 (Steele et al. 2014) to mix.
_BASE = 6364136223846793005
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
STEP = np.uint64(0x9E3779B97F4A7C15)

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]


def text_chunks(texts: pa.Array) -> Iterator[tuple[NDArray[np.uint8], I64]]:
    """Yield the bytes of some texts laid end to end, with their n + 1 offsets; a null counts as empty."""
    import pyarrow as pa

    texts = texts.cast(pa.large_string()).fill_null("")
    buffers = texts.buffers()
    offsets = np.frombuffer(buffers[1], np.int64)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(buffers[2], np.uint8) if buffers[2] is not None else np.zeros(0, np.uint8)
    first = 0
    while first < len(texts):
        past = int(np.searchsorted(offsets, offsets[first] + _CHUNK_BYTES, side="right")) - 1
        past = min(max(past, first + 1), len(texts))
        begin, end = offsets[first], offsets[past]
        yield data[begin:end], offsets[first : past + 1] - begin
        first = past


@functools.cache
def _is_word(beyond_ascii: bool) -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[128:] = beyond_ascii
    table[[ord(c) for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"]] = True
    return table


def gram_hashes(
    data: NDArray[np.uint8], offsets: I64, words: int, *, beyond_ascii: bool = False
) -> tuple[U64, I64, I64]:
    """Hash every run of ``words`` tokens ``[A-Za-z_0-9]+`` of texts that lie end to end in ``data``.

    ``beyond_ascii`` counts all other characters of Unicode as letters, too.
    Returns the hashes, where each text's hashes begin (n + 1 offsets), and each text's number of tokens.
    """
    starts, ends = _token_bounds(data, offsets, _is_word(beyond_ascii))
    bounds = np.searchsorted(starts, offsets)
    num_tokens = np.diff(bounds)
    tokens = _token_hashes(data, starts, ends)
    num_windows = max(0, len(tokens) - words + 1)
    grams = np.zeros(num_windows, np.uint64)
    for place in range(words):
        grams *= STEP
        grams += tokens[place : place + num_windows]
    # A window that begins in the last tokens of a text runs into the next one.
    inside = np.ones(num_windows, np.bool_)
    for back in range(1, words):
        crossing = bounds[1:] - back
        crossing = crossing[(crossing >= bounds[:-1]) & (crossing < num_windows)]
        inside[crossing] = False
    gram_offsets = np.concatenate([[0], np.cumsum(np.maximum(num_tokens - words + 1, 0))])
    return mixed(grams[inside]), gram_offsets, num_tokens


def gram_sets(texts: pa.Array, words: int) -> Iterator[U64]:
    """Yield each text's set of grams, sorted; characters beyond ASCII are letters."""
    for data, offsets in text_chunks(texts):
        grams, gram_offsets, _ = gram_hashes(data, offsets, words, beyond_ascii=True)
        for begin, end in itertools.pairwise(gram_offsets.tolist()):
            yield np.unique(grams[begin:end])


def _token_bounds(data: NDArray[np.uint8], offsets: I64, is_word: NDArray[np.bool_]) -> tuple[I64, I64]:
    word = is_word[data]
    begins = word.copy()
    begins[1:] &= ~word[:-1]
    stops = word.copy()
    stops[:-1] &= ~word[1:]
    # Texts lie end to end, so a token may touch the next text's first one.
    inner = offsets[1:-1]
    inner = inner[(inner > 0) & (inner < len(data))]
    begins[inner] = word[inner]
    stops[inner - 1] = word[inner - 1]
    return np.flatnonzero(begins), np.flatnonzero(stops) + 1


def _token_hashes(data: NDArray[np.uint8], starts: I64, ends: I64) -> U64:
    """Polynomial hashes modulo 2^64 by differences of prefix sums, free of the position by the inverse power."""
    powers, inverses = _powers(1 << max(22, len(data).bit_length()))
    sums = np.zeros(len(data) + 1, np.uint64)
    np.cumsum((data.astype(np.uint64) + np.uint64(1)) * powers[: len(data)], out=sums[1:])
    return mixed((sums[ends] - sums[starts]) * inverses[starts])


@functools.lru_cache(maxsize=2)
def _powers(length: int) -> tuple[U64, U64]:
    """The powers of the base and of its inverse modulo 2^64 (odd numbers have one)."""
    inverse = pow(_BASE, -1, 1 << 64)
    powers = np.full(length, _BASE, np.uint64)
    inverses = np.full(length, inverse, np.uint64)
    powers[0] = inverses[0] = 1
    return np.cumprod(powers), np.cumprod(inverses)


def mixed(values: U64) -> U64:
    """Spread every bit over all others (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    mixed: U64 = values ^ (values >> np.uint64(31))
    return mixed
