"""Reads the held-out part of a shard artifact: rows of tokens, and the documents that lie in them.

Owns the layout of MDS shards as far as it reads them (mosaicml-streaming 0.13, version 2, one column of a numpy
array, not compressed). Importing ``streaming`` would load torch and shared memory for a few hundred rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from daybreak_contracts.errors import ArtifactError

INDEX = "index.json"
COLUMN = "tokens"
DTYPES: dict[str, type[np.unsignedinteger[Any]]] = {"ndarray:uint16": np.uint16, "ndarray:uint32": np.uint32}
Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shard:
    """One shard file: where its rows are, and how a row's numbers are written."""

    path: Path
    num_rows: int
    encoding: str

    def row(self, index: int) -> Tokens:
        """Return one row's tokens."""
        with self.path.open("rb") as file:
            file.seek(4 + 4 * index)  # behind the number of rows
            start, end = np.frombuffer(file.read(8), "<u4")
            file.seek(int(start))
            data = file.read(int(end) - int(start))
        return _decode(data[4:], DTYPES[self.encoding], self.path)  # behind the size of the column


def _decode(data: bytes, dtype: type[np.unsignedinteger[Any]], path: Path) -> Tokens:
    """Decode a one-dimensional array: number of dimensions and width of its length, length, values."""
    if not data or data[0] >> 2 != 1:
        raise ArtifactError(f"{path}: not rows of tokens, make the shards again")
    width = 1 << (data[0] & 3)
    length = int.from_bytes(data[1 : 1 + width], "little")
    values = np.frombuffer(data[1 + width :], dtype)
    if len(values) != length:
        raise ArtifactError(f"{path}: a row of {length} tokens has {len(values)}, make the shards again")
    return values.astype(np.int64)


class Rows:
    """All rows of a folder of shards, by number."""

    def __init__(self, folder: Path) -> None:
        self._shards = [_shard(folder, entry) for entry in _index(folder)["shards"]]
        self._starts = np.cumsum([0, *(shard.num_rows for shard in self._shards)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, number: int) -> Tokens:
        position = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self._shards[position].row(number - int(self._starts[position]))


def _index(folder: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads((folder / INDEX).read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder / INDEX}: cannot be read ({error}), make the shards again") from error
    return document


def _shard(folder: Path, entry: dict[str, Any]) -> Shard:
    path = folder / entry["raw_data"]["basename"]
    [encoding] = entry["column_encodings"]
    if entry["column_names"] != [COLUMN] or encoding not in DTYPES or entry["compression"]:
        raise ArtifactError(f"{path}: holds {entry['column_names']} as {encoding}, expected plain {COLUMN}")
    return Shard(path, entry["samples"], encoding)


def documents_in(row: Tokens, end_of_text: int, pad: int) -> Iterator[Sequence[int]]:
    """Yield the documents, or parts of documents, that lie in one row."""
    start = 0
    values = row[row != pad]
    for end in [*np.flatnonzero(values == end_of_text), len(values)]:
        if end > start:
            yield values[start:end].tolist()
        start = int(end) + 1
