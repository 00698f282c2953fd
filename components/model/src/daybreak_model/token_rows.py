"""The rows of tokens of one side of a shard artifact, by number, wherever it lies: a few bytes are read of each.

Owns the layout of MDS shards as far as it is read here (mosaicml-streaming 0.13, version 2, one column of a numpy
array, not compressed). Importing ``streaming`` would load torch and shared memory for a few hundred rows.
"""

from __future__ import annotations

import bisect
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daybreak_contracts import storage
from daybreak_contracts.errors import ArtifactError

INDEX = "index.json"
COLUMN = "tokens"
DTYPES: dict[str, type[np.unsignedinteger[Any]]] = {"ndarray:uint16": np.uint16, "ndarray:uint32": np.uint32}
Tokens = NDArray[np.int64]


class TokenRows:
    """All rows of a folder of shards."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        location = storage.join(folder, INDEX)
        if not storage.exists(location):
            raise ArtifactError(f"{location}: the shards are not there any more, run the shard step again")
        self._shards: list[dict[str, Any]] = storage.read_json(location)["shards"]
        for shard in self._shards:
            self._check(shard)
        self._ends = list(itertools.accumulate(int(shard["samples"]) for shard in self._shards))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, number: int) -> Tokens:
        """Return the tokens of a row; one that is not there is an ArtifactError."""
        place = bisect.bisect_right(self._ends, number)
        if number < 0 or place == len(self._shards):
            raise ArtifactError(f"{self._folder}: has no sample {number}")
        shard = self._shards[place]
        data = self._column(shard, number - self._ends[place] + int(shard["samples"]))
        return _decoded(data, DTYPES[shard["column_encodings"][0]], self._place_of(shard))

    def _check(self, shard: dict[str, Any]) -> None:
        columns, encodings = shard["column_names"], shard["column_encodings"]
        if columns != [COLUMN] or len(encodings) != 1 or encodings[0] not in DTYPES or shard["compression"]:
            raise ArtifactError(
                f"{self._place_of(shard)}: holds {columns} as {encodings}, expected plain {COLUMN}: "
                "run the shard step again"
            )

    def _place_of(self, shard: dict[str, Any]) -> str:
        return storage.join(self._folder, shard["raw_data"]["basename"])

    def _column(self, shard: dict[str, Any], index: int) -> bytes:
        location = self._place_of(shard)
        if not storage.exists(location):
            raise ArtifactError(f"{location}: the shard is not there any more, run the shard step again")
        fs, path = storage.filesystem(location)
        with storage.translated(location), fs.open(path, "rb") as file:
            file.seek(4 + 4 * index)  # behind the number of rows
            start, end = (int(offset) for offset in np.frombuffer(file.read(8), "<u4"))
            file.seek(start)
            data: bytes = file.read(end - start)
        return data[4:]  # behind the size of the column


def _decoded(data: bytes, dtype: type[np.unsignedinteger[Any]], location: str) -> Tokens:
    """Decode a one-dimensional array: number of dimensions and width of its length, length, values."""
    if not data or data[0] >> 2 != 1:
        raise ArtifactError(f"{location}: holds no rows of tokens, run the shard step again")
    width = 1 << (data[0] & 3)
    wanted, held = int.from_bytes(data[1 : 1 + width], "little"), data[1 + width :]
    if len(held) != wanted * np.dtype(dtype).itemsize:
        raise ArtifactError(f"{location}: a row of {wanted} tokens is cut short, run the shard step again")
    return np.frombuffer(held, dtype).astype(np.int64)
