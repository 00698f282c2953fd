"""Rows of Parquet parts that a rule names: counting them, finding their places, taking them out.

For the documents and the ingest artifacts: every table that names repositories, whichever a step has.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from daybreak_contracts import artifacts, storage
from daybreak_data.tables import reading, writing
from daybreak_data.takeback import rewrite
from daybreak_data.takeback.rule import TakeBackRule

if TYPE_CHECKING:
    import pyarrow as pa

PLACE = ("repository", "path", "path_id")
DOCUMENT_ID = "document_id"


def places_of(uri: str, wanted: TakeBackRule) -> set[int]:
    """Return the path ids of the documents that go."""
    found: set[int] = set()
    files = reading.files_of(uri, artifacts.load(uri), reading.DOCUMENTS)
    for batch in reading.scan(files, [*PLACE, DOCUMENT_ID]):
        found.update(
            path_id
            for path_id, goes in zip(batch.column(2).to_pylist(), _going(batch, wanted), strict=True)
            if goes
        )
    return found


def num_copies(uri: str, wanted: TakeBackRule) -> int:
    """Return how many files that go were dropped as copies of a document that stays: their text stays with it."""
    files = reading.files_of(uri, artifacts.load(uri), reading.CLUSTERS)
    kept: dict[tuple[str, int], bool] = {}
    members: list[tuple[str, int]] = []
    for batch in reading.scan(files, [*PLACE, "kind", "cluster_id", "kept"]):
        clusters = zip(batch.column(3).to_pylist(), batch.column(4).to_pylist(), strict=True)
        for cluster, is_kept, goes in zip(
            clusters, batch.column(5).to_pylist(), _going(batch, wanted), strict=True
        ):
            if is_kept:
                kept[cluster] = goes
            elif goes:
                members.append(cluster)
    return sum(not kept.get(cluster, True) for cluster in members)


def _going(batch: pa.RecordBatch, wanted: TakeBackRule) -> list[bool]:
    """Tell of each row whether it goes; rows about a whole repository go by its name alone."""
    length, columns = batch.num_rows, batch.schema.names
    if not set(PLACE) <= set(columns):
        return [wanted.takes_repository(name) for name in batch.column("repository").to_pylist()]
    ids = batch.column(DOCUMENT_ID).to_pylist() if DOCUMENT_ID in columns else [""] * length
    repositories, paths, path_ids = (batch.column(name).to_pylist() for name in PLACE)
    rows = zip(repositories, paths, path_ids, ids, strict=True)
    return [wanted.takes(repository, path, path_id, one) for repository, path, path_id, one in rows]


def take_rows(uri: str, wanted: TakeBackRule) -> int:
    """Take the rows out of every part that has some, and return how many documents went.

    Parts that hold texts go last: while one is left, the same documents are found again.
    """
    rewrite.resume(uri)
    taken = 0
    for path in _parts(artifacts.load(uri)):
        if _names_any(storage.join(uri, path), wanted):
            data, gone = _without(rewrite.read(uri, path), wanted)
            rewrite.replace(uri, {path: data})
            taken += gone if _is_text(path) else 0
    return taken


def _parts(manifest: artifacts.Manifest) -> list[str]:
    """Return the paths of all parts of all tables, those with texts last."""
    parts = [entry.path for entry in manifest.files if entry.path.endswith(".parquet")]
    return sorted(parts, key=lambda path: (_is_text(path), path))


def _is_text(path: str) -> bool:
    return path.startswith(f"{reading.DOCUMENTS}/")


def _names_any(file: str, wanted: TakeBackRule) -> bool:
    import pyarrow.parquet as pq

    fs, path = storage.filesystem(file)
    with fs.open(path, "rb") as reader:
        parquet = pq.ParquetFile(reader)
        columns = [name for name in (*PLACE, DOCUMENT_ID) if name in parquet.schema_arrow.names]
        if "repository" not in columns:
            return False  # numbers alone, as signatures
        return any(any(_going(batch, wanted)) for batch in parquet.iter_batches(columns=columns))


def _without(data: bytes, wanted: TakeBackRule) -> tuple[bytes, int]:
    """Return a part without the rows that go, written as the room writes parts, and how many went."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parquet, target, gone = pq.ParquetFile(io.BytesIO(data)), io.BytesIO(), 0
    schema = parquet.schema_arrow
    options = {"compression": writing.CODEC, "compression_level": writing.CODEC_LEVEL, "store_schema": False}
    with pq.ParquetWriter(target, schema, **options) as writer:
        for group in range(parquet.num_row_groups):
            table = parquet.read_row_group(group)
            goes = [one for batch in table.to_batches() for one in _going(batch, wanted)]
            gone += sum(goes)
            writer.write_table(table.filter(pa.array([not one for one in goes], pa.bool_())))
    return target.getvalue(), gone
