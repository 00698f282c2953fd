"""Writes token samples as MDS shards, the format that `streaming.StreamingDataset` reads.

The bytes are those of `streaming.MDSWriter` (a test holds it); written here because importing `streaming` loads torch
in every Spark worker, and because samples of one length can be laid out by one copy. Owns no order and no split.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

INDEX_FILE = "index.json"
SIZE_LIMIT = 1 << 26  # mosaicml-streaming's default, 50 to 100 MB are advised
BYTES_PER_OFFSET = 4


@dataclass
class MdsWriter:
    """Collects samples of ``context_length`` tokens and writes a shard whenever one is full."""

    folder: Path
    dtype: str
    """``uint16`` or ``uint32``."""
    context_length: int
    size_limit: int = SIZE_LIMIT
    shards: list[dict[str, Any]] = field(default_factory=list)
    """One entry for each shard written, as ``index.json`` holds it."""
    _waiting: list[npt.NDArray[Any]] = field(default_factory=list)
    _num_waiting: int = 0

    def write(self, samples: npt.NDArray[Any]) -> None:
        """Take samples, an array of shape (n, context_length) in the writer's dtype."""
        self._waiting.append(samples)
        self._num_waiting += len(samples)
        while self._num_waiting > self._samples_per_shard():
            self._flush(self._samples_per_shard())

    def finish(self) -> list[dict[str, Any]]:
        """Write the last shard and return the entries of all."""
        if self._num_waiting:
            self._flush(self._num_waiting)
        return self.shards

    def _samples_per_shard(self) -> int:
        fixed = 2 * BYTES_PER_OFFSET + len(self._config_bytes())
        size = self._header().size + self.context_length * np.dtype(self.dtype).itemsize + BYTES_PER_OFFSET
        return max(1, (self.size_limit - fixed) // size)

    def _flush(self, count: int) -> None:
        joined = np.concatenate(self._waiting)
        samples, rest = joined[:count], joined[count:]
        self._waiting, self._num_waiting = [rest], len(rest)
        name = f"shard.{len(self.shards):05}.mds"
        data = self._encode(np.ascontiguousarray(samples))
        (self.folder / name).write_bytes(data)
        hashes = {"xxh64": xxhash.xxh64_hexdigest(data)}
        raw = {"basename": name, "bytes": len(data), "hashes": hashes}
        self.shards.append({"samples": count, "raw_data": raw, "zip_data": None, **self._config()})

    def _encode(self, samples: npt.NDArray[Any]) -> bytes:
        """Lay out a shard: number of samples, offsets, configuration, samples; offsets count from the file's start."""
        header, config = self._header(), self._config_bytes()
        body = samples.view(np.uint8)
        rows = np.concatenate([np.broadcast_to(header, (len(samples), header.size)), body], axis=1)
        start = BYTES_PER_OFFSET * (1 + len(samples) + 1) + len(config)
        offsets = (start + np.arange(len(samples) + 1) * rows.shape[1]).astype(np.uint32)
        return b"".join([np.uint32(len(samples)).tobytes(), offsets.tobytes(), config, rows.tobytes()])

    def _header(self) -> npt.NDArray[np.uint8]:
        """Return what stands before a sample's values: size of the column, number of dimensions, length."""
        width = next(code for code, bits in enumerate((8, 16, 32)) if self.context_length < 1 << bits)
        length = np.array([self.context_length], f"uint{8 << width}").tobytes()
        shape = bytes([(1 << 2) | width]) + length
        size = len(shape) + self.context_length * np.dtype(self.dtype).itemsize
        return np.frombuffer(np.uint32(size).tobytes() + shape, np.uint8)

    def _config(self) -> dict[str, Any]:
        return {
            "version": 2,
            "format": "mds",
            "compression": None,
            "hashes": ["xxh64"],
            "size_limit": self.size_limit,
            "column_names": ["tokens"],
            "column_encodings": [f"ndarray:{self.dtype}"],
            "column_sizes": [None],
        }

    def _config_bytes(self) -> bytes:
        return json.dumps(self._config(), sort_keys=True).encode()


def index_bytes(shards: list[dict[str, Any]]) -> bytes:
    """Return an ``index.json`` over these entries."""
    return json.dumps({"version": 2, "shards": shards}, sort_keys=True).encode()


def moved(shards: list[dict[str, Any]], folder: str) -> list[dict[str, Any]]:
    """Return the entries for an index one folder up: base names begin with ``folder``."""
    return [
        {**entry, "raw_data": {**entry["raw_data"], "basename": f"{folder}/{entry['raw_data']['basename']}"}}
        for entry in shards
    ]
