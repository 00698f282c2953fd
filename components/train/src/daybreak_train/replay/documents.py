"""From sample ids to the documents that lie in the samples: source, repository, path and place.

Owns the way through the shard artifact's index of documents. Reads no tokens.
"""

from __future__ import annotations

import bisect
import io
import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from daybreak_contracts import storage
from daybreak_contracts.errors import ArtifactError
from daybreak_contracts.layouts import shards as layout


@dataclass(frozen=True)
class DocumentPart:
    """The part of one document that lies in one sample; all lengths in tokens."""

    source: str
    repository: str
    path: str
    language: str
    at: int
    """Where the part begins in the sample."""
    length: int
    """Of the part, the token that ends the document counted if it is there."""
    offset: int
    """Where the part begins in the document: 0 where the document begins in this sample."""
    document_length: int

    @property
    def name(self) -> str:
        """Source, repository and path, as a log or an event names a document."""
        return "/".join(part for part in (self.source, self.repository, self.path) if part)


def documents_of(
    shards: str, sample_ids: Iterable[int], side: str = layout.TRAIN
) -> dict[int, tuple[DocumentPart, ...]]:
    """Return for each sample the parts of documents that it holds, in their order.

    ``shards`` is the artifact's URI. One small Parquet file is read a partition that holds any of the samples. A
    sample that is not there, or an artifact without the index, is an ArtifactError.
    """
    description = read_description(shards)
    partitions = description.partitions(side)
    ends = list(itertools.accumulate(partition.samples for partition in partitions))
    wanted: dict[int, list[int]] = {}
    for sample in sorted(set(sample_ids)):
        if not 0 <= sample < (ends[-1] if ends else 0):
            raise ArtifactError(f"{shards}: has no sample {sample} in its {side} part")
        wanted.setdefault(bisect.bisect_right(ends, sample), []).append(sample)
    found: dict[int, tuple[DocumentPart, ...]] = {}
    for number, samples in wanted.items():
        index = _PartitionIndex(shards, side, partitions[number].partition)
        first = ends[number] - partitions[number].samples
        for sample in samples:
            found[sample] = index.parts(sample - first, description.context_length)
    return found


def document_names(shards: str, sample_ids: Iterable[int]) -> tuple[str, ...]:
    """Return the names of all documents in samples, each once; none of shards that have no index."""
    try:
        found = documents_of(shards, sample_ids)
    except ArtifactError:
        return ()
    return tuple(dict.fromkeys(part.name for parts in found.values() for part in parts))


def read_description(shards: str) -> layout.ShardDescription:
    """Read ``documents.json`` of a shard artifact; missing or malformed is an ArtifactError."""
    location = storage.join(shards, layout.DESCRIPTION_FILE)
    if not storage.exists(location):
        raise ArtifactError(
            f"{shards}: the shards are not there any more, or have no index of their documents "
            f"({layout.DESCRIPTION_FILE}): run the shard step again"
        )
    try:
        return layout.ShardDescription.model_validate(storage.read_json(location))
    except ValidationError as error:
        raise ArtifactError(f"{location}: not one of ours, run the shard step again") from error


class _PartitionIndex:
    """The documents of one partition, in the order of their tokens."""

    def __init__(self, shards: str, side: str, partition: str) -> None:
        import pyarrow.parquet as pq

        location = storage.join(shards, side, partition, layout.DOCUMENTS_FILE)
        if not storage.exists(location):
            raise ArtifactError(f"{location}: missing, run the shard step again")
        names = ["source", "repository", "path", "language"]
        table = pq.read_table(
            io.BytesIO(storage.read_bytes(location)), columns=[*names, layout.FIRST_TOKEN, layout.NUM_TOKENS]
        )
        self._names = [table.column(name) for name in names]
        self._starts = table.column(layout.FIRST_TOKEN).to_numpy()
        self._lengths = table.column(layout.NUM_TOKENS).to_numpy()

    def parts(self, sample: int, context_length: int) -> tuple[DocumentPart, ...]:
        """Return what lies in the sample of this number within the partition."""
        low, high = sample * context_length, (sample + 1) * context_length
        first = max(0, int(np.searchsorted(self._starts, low, side="right")) - 1)
        last = int(np.searchsorted(self._starts, high, side="left"))
        return tuple(part for row in range(first, last) if (part := self._part(row, low, high)) is not None)

    def _part(self, row: int, low: int, high: int) -> DocumentPart | None:
        start, length = int(self._starts[row]), int(self._lengths[row])
        begin, end = max(start, low), min(start + length, high)
        if end <= begin:
            return None
        source, repository, path, language = (column[row].as_py() or "" for column in self._names)
        return DocumentPart(
            source, repository, path, language, begin - low, end - begin, begin - start, length
        )
