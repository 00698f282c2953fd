"""Tokens of documents that a rule names, in the shards: counting them, and putting padding in their place.

Padding is never trained on, so every other sample stays as it is, and so does its number. The token that ends a
document stays: it keeps the documents beside it apart, and holds no text.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xxhash

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.layouts import shards as layout
from daybreak_data.shards import mds
from daybreak_data.takeback import rewrite
from daybreak_data.takeback.rule import TakeBackRule

if TYPE_CHECKING:
    import pyarrow as pa

Spans = list[tuple[int, int]]
"""First token and number of tokens in a partition's stream."""


def count(uri: str, wanted: TakeBackRule) -> tuple[int, int]:
    """Return how many documents and tokens of them the shards hold."""
    lengths = [
        length
        for _, path in _partitions(artifacts.load(uri))
        for _, length in _spans(_rows(storage.read_bytes(storage.join(uri, path))), wanted)[1]
    ]
    return len(lengths), sum(lengths)


def blank(uri: str, wanted: TakeBackRule) -> tuple[int, int]:
    """Put padding in the place of the documents, and return how many and how many tokens.

    The partition's list of documents goes last: while it names one, its tokens are blanked again.
    """
    rewrite.resume(uri)
    documents = tokens = 0
    for folder, path in list(_partitions(artifacts.load(uri))):
        rows = _rows(rewrite.read(uri, path))
        keep, spans = _spans(rows, wanted)
        if spans:
            rewrite.replace(uri, {**_blanked(uri, folder, spans), path: _written(rows.filter(keep))})
            documents += len(spans)
            tokens += sum(length for _, length in spans)
    return documents, tokens


def _partitions(manifest: artifacts.Manifest) -> Iterator[tuple[str, str]]:
    """Yield folder and list of documents of each partition."""
    for entry in manifest.files:
        folder, _, name = entry.path.rpartition("/")
        if name == layout.DOCUMENTS_FILE:
            yield folder, entry.path


def _rows(data: bytes) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(data))


def _written(rows: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    target = io.BytesIO()
    pq.write_table(rows, target, compression="zstd")
    return target.getvalue()


def _spans(rows: pa.Table, wanted: TakeBackRule) -> tuple[pa.Array, Spans]:
    """Return which rows stay, and where the others lie."""
    import pyarrow as pa

    named = ("repository", "path", "path_id", layout.FIRST_TOKEN, layout.NUM_TOKENS)
    keep, spans = [], []
    for repository, path, path_id, first, length in zip(
        *(rows.column(name).to_pylist() for name in named), strict=True
    ):
        goes = wanted.takes(repository, path, path_id)
        keep.append(not goes)
        if goes:
            spans.append((first, length))
    return pa.array(keep, pa.bool_()), spans


def _blanked(uri: str, folder: str, spans: Spans) -> dict[str, bytes]:
    """Return the shards of a partition that change, and the index of its side that fits them."""
    side, _, partition = folder.partition("/")
    index_path = f"{side}/{mds.INDEX_FILE}"
    index = json.loads(rewrite.read(uri, index_path))
    changed, first = {}, 0
    for entry in index["shards"]:
        name = entry["raw_data"]["basename"]
        if name.partition("/")[0] != partition:
            continue
        data = rewrite.read(uri, f"{side}/{name}")
        new, num_tokens = blanked_shard(data, entry, [(begin - first, length) for begin, length in spans])
        first += num_tokens
        entry["raw_data"]["hashes"] = {"xxh64": xxhash.xxh64_hexdigest(new)}
        if new != data:
            changed[f"{side}/{name}"] = new
    return {**changed, index_path: mds.index_bytes(index["shards"])}


def blanked_shard(data: bytes, entry: dict[str, Any], spans: Spans) -> tuple[bytes, int]:
    """Return a shard with padding in these spans of its tokens, and how many tokens it has."""
    (encoding,) = entry["column_encodings"]
    dtype = np.dtype(encoding.removeprefix("ndarray:"))
    offsets = np.frombuffer(data, np.uint32, entry["samples"] + 1, mds.BYTES_PER_OFFSET)
    rows = np.frombuffer(bytearray(data), np.uint8)
    samples = rows[offsets[0] : offsets[-1]].reshape(entry["samples"], -1)
    length = _context_length(samples, dtype)
    tokens = np.ascontiguousarray(samples[:, -length * dtype.itemsize :]).view(dtype).reshape(-1)
    end, pad = (names.SPECIAL_TOKENS.index(name) for name in (names.END_OF_TEXT, names.FIM_PAD))
    for begin, count_ in spans:
        piece = tokens[
            max(0, begin) : max(0, begin + count_)
        ]  # of a repository's files only the last has an end
        piece[piece != end] = pad
    samples[:, -length * dtype.itemsize :] = tokens.reshape(entry["samples"], -1).view(np.uint8)
    return rows.tobytes(), len(tokens)


def _context_length(samples: npt.NDArray[np.uint8], dtype: np.dtype[Any]) -> int:
    """Return the tokens of a sample: before them stand their size in bytes, the shape's code and the shape."""
    shape = {0: 1, 1: 2, 2: 4, 3: 8}[int(samples[0, 4]) & 3]
    return int((samples.shape[1] - 4 - 1 - shape) // dtype.itemsize)
