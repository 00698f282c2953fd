"""MinHash signatures of texts: what makes two files near-duplicates of each other.

Pure arithmetic on bytes, the same on every machine and for all time (golden test): sets of word 5-grams, 256
minima, of which band keys and a sketch are kept. Does not know Spark, nor which of two duplicates is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from daybreak_data.duplicates.licence_header import without_licence_header
from daybreak_data.duplicates.word_grams import I64, STEP, U64, gram_hashes, mixed, text_chunks

if TYPE_CHECKING:
    import pyarrow as pa

CODE_VERSION = 4  # part of the digest of every step that persists signatures

NUM_PERMUTATIONS = 256
GRAM_WORDS = 5
# Shorter texts have no signature: an empty set would make all of them one cluster.
MIN_TOKENS = 10
DEFAULT_THRESHOLD = 0.7
SIGNATURE_COLUMNS = "path_id long, num_tokens int, bands array<long>, sketch binary"

_SEED = 42


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
    """Turn batches with ``path_id``, ``language`` and ``text`` into ``SIGNATURE_COLUMNS``; for mapInArrow.

    Licence headers do not count, and files of two languages never share a band.
    """
    import pyarrow as pa

    schema = pa.schema(
        [
            ("path_id", pa.int64()),
            ("num_tokens", pa.int32()),
            ("bands", pa.list_(pa.int64())),
            ("sketch", pa.binary()),
        ]
    )
    for batch in batches:
        languages = [language or "" for language in batch.column("language").to_pylist()]
        texts = compared_texts(batch.column("text").to_pylist(), languages)
        num_tokens, bands, sketch = signatures_of(texts, threshold)
        columns = [batch.column("path_id").cast(pa.int64()), num_tokens, _apart(bands, languages), sketch]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def compared_texts(texts: Sequence[str | None], languages: Sequence[str]) -> pa.Array:
    """Return what of each text is compared with others."""
    import pyarrow as pa

    pairs = zip(texts, languages, strict=True)
    return pa.array(
        [without_licence_header(text or "", language) for text, language in pairs], pa.large_string()
    )


def _apart(bands: pa.ListArray, languages: Sequence[str]) -> pa.ListArray:
    """Change the keys of each language in a way of its own."""
    import pyarrow as pa

    marks = np.array([xxhash.xxh64_intdigest(language) for language in languages], np.uint64).view(np.int64)
    marked = bands.flatten().to_numpy() ^ np.repeat(marks, bands.value_lengths().to_numpy())
    return pa.ListArray.from_arrays(bands.offsets, pa.array(marked, pa.int64()))


def signatures_of(
    texts: pa.Array, threshold: float = DEFAULT_THRESHOLD
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Return of each text its number of tokens (int32), band keys (list of int64) and sketch (256 bytes).

    The sketch is the lowest byte of each minimum (b-bit minwise hashing, Li and König 2010, arXiv 0910.3349).
    Below ``MIN_TOKENS`` both are empty.
    """
    import pyarrow as pa

    num_bands, rows = optimal_bands(threshold)
    counts: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    keys: list[I64] = [np.zeros((0, num_bands), np.int64)]
    sketches: list[NDArray[np.uint8]] = [np.zeros((0, NUM_PERMUTATIONS), np.uint8)]
    for data, offsets in text_chunks(texts):
        # Else a page and its translation, with the same code in it, would be the same.
        grams, gram_offsets, num_tokens = gram_hashes(data, offsets, GRAM_WORDS, beyond_ascii=True)
        counts.append(num_tokens.astype(np.int32))
        signed = num_tokens >= MIN_TOKENS
        if signed.any():
            lengths = np.diff(gram_offsets)
            own = np.append(0, np.cumsum(lengths[signed]))  # a text of five words has grams, but no signature
            minima = _minima(grams[np.repeat(signed, lengths)], own)
            keys.append(_keys_of(minima, num_bands, rows))
            sketches.append((minima & 255).astype(np.uint8))
    num_tokens = np.concatenate(counts)
    ends = np.append(0, np.cumsum(num_tokens >= MIN_TOKENS)).astype(np.int32)
    flat = pa.array(np.concatenate(keys).reshape(-1))
    bands = pa.ListArray.from_arrays(pa.array(ends * np.int32(num_bands)), flat)
    packed = pa.py_buffer(np.concatenate(sketches).tobytes())
    offsets = pa.py_buffer((ends * np.int32(NUM_PERMUTATIONS)).tobytes())
    sketch = pa.Array.from_buffers(pa.binary(), len(num_tokens), [None, offsets, packed])
    return pa.array(num_tokens), bands, sketch


def similarity(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Estimate the Jaccard similarity of rows of sketches; standard error at most 0.032 for 256 bytes.

    Two different minima share their lowest byte once in 256, which is taken off.
    """
    same = (left == right).mean(axis=1)
    estimate: NDArray[np.float64] = (same - 1 / 256) / (1 - 1 / 256)
    return estimate


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
        keys = mixed(keys * STEP + used[:, :, row])
    return keys.view(np.int64)
