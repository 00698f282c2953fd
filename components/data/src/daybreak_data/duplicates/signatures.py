"""MinHash signatures of texts: what makes two files near-duplicates of each other.

Pure arithmetic on bytes, the same on every machine and for all time (golden test): sets of word 5-grams, 256
minima, band keys. Does not know Spark, nor which of two duplicates is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

CODE_VERSION = 1  # part of the digest of every step that persists signatures

NUM_PERMUTATIONS = 256
GRAM_WORDS = 5
# Shorter texts have no signature: an empty set would make all of them one cluster.
MIN_TOKENS = 10
DEFAULT_THRESHOLD = 0.7
SIGNATURE_COLUMNS = "path_id long, num_tokens int, bands array<long>"

_SEED = 42
_CHUNK_BYTES = 4 << 20
# Odd 64-bit multipliers: Knuth's MMIX generator for the prefix sums, splitmix64 (Steele et al. 2014) to mix.
_BASE = 6364136223846793005
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_STEP = np.uint64(0x9E3779B97F4A7C15)

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]


@functools.cache
def optimal_bands(threshold: float, num_permutations: int = NUM_PERMUTATIONS) -> tuple[int, int]:
    """Bands and rows a band that minimise false positives plus false negatives.

    The area under 1 - (1 - s^r)^b left of the threshold plus the area over it on the right (Leskovec,
    Rajaraman, Ullman, Mining of Massive Datasets 3.4; equal weights as in BigCode): 0.70 gives 25 x 10.
    """
    similarity = (np.arange(2000) + 0.5) / 2000
    left = similarity < threshold
    best, chosen = np.inf, (1, num_permutations)
    for bands in range(1, num_permutations + 1):
        for rows in range(1, num_permutations // bands + 1):
            missed = (1.0 - similarity**rows) ** bands
            error = float(np.where(left, 1.0 - missed, missed).mean())
            if error < best:
                best, chosen = error, (bands, rows)
    return chosen


def signature_batches(
    batches: Iterator[pa.RecordBatch], threshold: float = DEFAULT_THRESHOLD
) -> Iterator[pa.RecordBatch]:
    """Turn batches with ``path_id`` and ``text`` into batches of ``SIGNATURE_COLUMNS``; for mapInArrow."""
    import pyarrow as pa

    schema = pa.schema(
        [("path_id", pa.int64()), ("num_tokens", pa.int32()), ("bands", pa.list_(pa.int64()))],
    )
    for batch in batches:
        num_tokens, bands = band_keys(batch.column("text"), threshold)
        columns = [batch.column("path_id").cast(pa.int64()), num_tokens, bands]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def band_keys(texts: pa.Array, threshold: float = DEFAULT_THRESHOLD) -> tuple[pa.Array, pa.Array]:
    """Number of tokens (int32) and band keys (list of int64, empty below ``MIN_TOKENS``) of each text."""
    import pyarrow as pa

    num_bands, rows = optimal_bands(threshold)
    counts: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    keys: list[I64] = [np.zeros((0, num_bands), np.int64)]
    for data, offsets in _chunks(texts):
        grams, gram_offsets, num_tokens = gram_hashes(data, offsets)
        counts.append(num_tokens.astype(np.int32))
        signed = num_tokens >= MIN_TOKENS
        if signed.any():
            minima = _minima(grams, gram_offsets[np.append(np.flatnonzero(signed), len(signed))])
            keys.append(_keys_of(minima, num_bands, rows))
    num_tokens = np.concatenate(counts)
    flat = np.concatenate(keys).reshape(-1)
    ends = np.concatenate([[0], np.cumsum(np.where(num_tokens >= MIN_TOKENS, num_bands, 0))])
    return pa.array(num_tokens), pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(flat))


def _chunks(texts: pa.Array) -> Iterator[tuple[NDArray[np.uint8], I64]]:
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
def _is_word() -> NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[[ord(c) for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"]] = True
    return table


def gram_hashes(data: NDArray[np.uint8], offsets: I64) -> tuple[U64, I64, I64]:
    """Hash every run of five tokens ``[A-Za-z_0-9]+`` of texts that lie end to end in ``data``.

    Returns the hashes, where each text's hashes begin (n + 1 offsets), and each text's number of tokens.
    """
    starts, ends = _token_bounds(data, offsets)
    bounds = np.searchsorted(starts, offsets)
    num_tokens = np.diff(bounds)
    tokens = _token_hashes(data, starts, ends)
    num_windows = max(0, len(tokens) - GRAM_WORDS + 1)
    grams = np.zeros(num_windows, np.uint64)
    for place in range(GRAM_WORDS):
        grams *= _STEP
        grams += tokens[place : place + num_windows]
    # A window that begins in the last four tokens of a text runs into the next one.
    inside = np.ones(num_windows, np.bool_)
    for back in range(1, GRAM_WORDS):
        crossing = bounds[1:] - back
        crossing = crossing[(crossing >= bounds[:-1]) & (crossing < num_windows)]
        inside[crossing] = False
    gram_offsets = np.concatenate([[0], np.cumsum(np.maximum(num_tokens - GRAM_WORDS + 1, 0))])
    return _mixed(grams[inside]), gram_offsets, num_tokens


def _token_bounds(data: NDArray[np.uint8], offsets: I64) -> tuple[I64, I64]:
    word = _is_word()[data]
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
    return _mixed((sums[ends] - sums[starts]) * inverses[starts])


@functools.lru_cache(maxsize=2)
def _powers(length: int) -> tuple[U64, U64]:
    """The powers of the base and of its inverse modulo 2^64 (odd numbers have one)."""
    inverse = pow(_BASE, -1, 1 << 64)
    powers = np.full(length, _BASE, np.uint64)
    inverses = np.full(length, inverse, np.uint64)
    powers[0] = inverses[0] = 1
    return np.cumprod(powers), np.cumprod(inverses)


def _mixed(values: U64) -> U64:
    values = (values ^ (values >> np.uint64(30))) * _MIX_1
    values = (values ^ (values >> np.uint64(27))) * _MIX_2
    mixed: U64 = values ^ (values >> np.uint64(31))
    return mixed


def _minima(grams: U64, offsets: I64) -> NDArray[np.uint32]:
    """The 256 minima of each set (similarity sketch of Dahlgaard et al. 2017, arXiv 1704.04370)."""
    import rensa

    matrix: Any = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        np.ascontiguousarray(grams), offsets.astype(np.uint64), NUM_PERMUTATIONS, _SEED
    )
    return np.array(matrix.to_rows(), np.uint32).reshape(-1, NUM_PERMUTATIONS)


def _keys_of(minima: NDArray[np.uint32], num_bands: int, rows: int) -> I64:
    """One 64-bit key a band; the band's number goes in, so that bands never meet each other."""
    used = minima[:, : num_bands * rows].astype(np.uint64).reshape(len(minima), num_bands, rows)
    keys = np.broadcast_to(np.arange(1, num_bands + 1, dtype=np.uint64), used.shape[:2]).copy()
    for row in range(rows):
        keys = _mixed(keys * _STEP + used[:, :, row])
    return keys.view(np.int64)
