"""Single samples of a shard artifact by their ids, wherever it lies: a few bytes are read of each, not whole shards.

Owns the layout of MDS shards as far as it reads them (mosaicml-streaming 0.13, version 2, one column of a numpy
array, not compressed).
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
DTYPES: dict[str, type[np.unsignedinteger[Any]]] = {"ndarray:uint16": np.uint16, "ndarray:uint32": np.uint32}


class SampleRows:
    """The samples of one side of a shard artifact."""

    def __init__(self, shards: str, side: str) -> None:
        self._folder = storage.join(shards, side)
        location = storage.join(self._folder, INDEX)
        if not storage.exists(location):
            raise ArtifactError(f"{shards}: the shards are not there any more: run the shard step again")
        self._shards: list[dict[str, Any]] = storage.read_json(location)["shards"]
        self._ends = list(itertools.accumulate(int(shard["samples"]) for shard in self._shards))
        self._read: dict[int, NDArray[np.int64]] = {}

    def __getitem__(self, sample: int) -> NDArray[np.int64]:
        """Return the tokens of a sample; those read once are kept, a document's beginning is asked for often."""
        if sample not in self._read:
            number = bisect.bisect_right(self._ends, sample)
            if sample < 0 or number == len(self._shards):
                raise ArtifactError(f"{self._folder}: has no sample {sample}")
            shard = self._shards[number]
            self._read[sample] = self._row(shard, sample - self._ends[number] + int(shard["samples"]))
        return self._read[sample]

    def _row(self, shard: dict[str, Any], index: int) -> NDArray[np.int64]:
        location = storage.join(self._folder, shard["raw_data"]["basename"])
        if not storage.exists(location):
            raise ArtifactError(f"{location}: the shard is not there any more, run the shard step again")
        [encoding] = shard["column_encodings"]
        fs, path = storage.filesystem(location)
        with storage.translated(location), fs.open(path, "rb") as file:
            file.seek(4 + 4 * index)  # behind the number of samples
            start, end = (int(offset) for offset in np.frombuffer(file.read(8), "<u4"))
            file.seek(start)
            data = file.read(end - start)
        if encoding not in DTYPES or len(data) < 6 or data[4] >> 2 != 1:
            raise ArtifactError(f"{location}: holds no rows of tokens, run the shard step again")
        # the column's size, the number of dimensions and the width of the length, the length, the values
        width = 1 << (data[4] & 3)
        values = np.frombuffer(data[4 + 1 + width :], DTYPES[encoding])
        if len(values) != int.from_bytes(data[5 : 5 + width], "little"):
            raise ArtifactError(f"{location}: a row is cut short, run the shard step again")
        return values.astype(np.int64)
