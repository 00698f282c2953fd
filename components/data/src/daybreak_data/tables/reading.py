"""Reading the tables of a documents artifact as Arrow batches, in this process or in Spark, from any storage.

Only files that the manifest lists are read. Owns no statistic and no rule.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import ArtifactError
from daybreak_data.tables import schemas

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

DOCUMENTS = "documents"
DROPS = "drops"
PERSONAL_DATA = "personal_data"
CLUSTERS = "clusters"

BATCH_ROWS = 512
"""Rows a batch: documents are at most 10 MB and 10 kB on average, so a batch stays near 5 MB."""


def files_of(uri: str, manifest: artifacts.Manifest, table: str) -> list[str]:
    """Return the URIs of a table's Parquet files, sorted."""
    prefix = f"{table}/"
    paths = [entry.path for entry in manifest.files if entry.path.startswith(prefix)]
    return [storage.join(uri, path) for path in sorted(paths) if path.endswith(".parquet")]


def scan(files: Iterable[str], columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the batches of these files; one that is no Parquet or lacks a column is an ArtifactError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in files:
        fs, path = storage.filesystem(file)
        try:
            with fs.open(path, "rb") as reader:
                parquet = pq.ParquetFile(reader)
                _require(file, columns, parquet.schema_arrow.names)
                yield from parquet.iter_batches(BATCH_ROWS, columns=columns)
        except (pa.ArrowInvalid, FileNotFoundError) as error:
            raise ArtifactError(f"{file}: cannot be read, run the documents step again ({error})") from error


def _require(file: str, columns: list[str], found: list[str]) -> None:
    missing = sorted(set(columns) - set(found))
    if missing:
        raise ArtifactError(f"{file}: has no column {', '.join(missing)}, run the documents step again")


def read(session: SparkSession, files: list[str], columns: Mapping[str, str]) -> DataFrame:
    """Return the files' rows as a DataFrame; each file is read in one task, where the task runs."""
    cast = functools.partial(_cast, columns=dict(columns))
    return read_through(session, files, [*columns], cast, schemas.spark_schema(columns))


def _cast(batch: pa.RecordBatch, columns: dict[str, str]) -> pa.RecordBatch:
    return batch.cast(schemas.arrow_schema(columns))


def read_through(
    session: SparkSession,
    files: list[str],
    columns: list[str],
    change: Callable[[pa.RecordBatch], pa.RecordBatch],
    schema: str,
) -> DataFrame:
    """Return what ``change`` makes of each batch, in the task that reads it: the rows themselves never leave it."""
    if not files:
        return session.createDataFrame([], schema)

    def read_files(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for found in scan(batch.column(0).to_pylist(), columns):
                yield change(found.select(columns))

    listing = session.createDataFrame(
        [(file, index) for index, file in enumerate(files)], "file string, id long"
    )
    placed = listing.repartitionById(len(files), listing.id.cast("int")).select("file")
    return placed.mapInArrow(read_files, schema)
