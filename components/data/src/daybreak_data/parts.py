"""How the tables of the ingest and documents artifacts are written: schemas, ids, and equal bytes for equal rows.

A part's bytes depend on its rows alone: fixed row groups, fixed codec, no time, no host, no batch borders.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import xxhash

from daybreak_data import tables

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

GROUP_ROWS = 2000
GROUP_BYTES = 32 << 20
CODEC = "zstd"
CODEC_LEVEL = 3

_IDENTITY = {"path_id": "int64", "source": "string", "repository": "string", "path": "string"}
INGESTED = {
    **_IDENTITY,
    "document_id": "string",
    "language": "string",
    "licence": "string",
    "encoding": "string",
    "size_bytes": "int64",
    "text": "string",
}
DOCUMENTS = {
    "document_id": "string",
    **_IDENTITY,
    "language": "string",
    "licence": "string",
    "encoding": "string",
    "size_bytes": "int64",
    "num_redactions": "int32",
    "text": "string",
}
DROPS = {
    **_IDENTITY,
    "language": "string",
    "size_bytes": "int64",
    "stage": "string",
    "reason": "string",
    "detail": "string",
}
PERSONAL_DATA = {
    **_IDENTITY,
    "kind": "string",
    "rule": "string",
    "start": "int32",
    "end": "int32",
    "value_sha256": "string",
}
CLUSTERS = {
    "cluster_id": "int64",
    "kind": "string",
    **_IDENTITY,
    "language": "string",
    "size_bytes": "int64",
    "kept": "bool",
}
_SPARK_NAMES = {
    "int64": "long",
    "int32": "int",
    "string": "string",
    "binary": "binary",
    "bool": "boolean",
    "list<int64>": "array<long>",
}


def path_id_of(source: str, repository: str, path: str) -> int:
    """Return the signed 64-bit id of a file: xxhash64 of its source, repository and path."""
    value = xxhash.xxh64_intdigest(f"{source}\0{repository}\0{path}".encode())
    return value - (1 << 64) if value >= 1 << 63 else value


def document_id_of(text: bytes) -> str:
    """Return the id of a content: SHA-256 of the text in UTF-8, in hex."""
    return hashlib.sha256(text).hexdigest()


def part_name(index: int) -> str:
    """Return the file name of a part."""
    return f"part-{index:05d}.parquet"


def arrow_schema(columns: Mapping[str, str]) -> pa.Schema:
    """Return the Arrow schema of one of the tables above."""
    import pyarrow as pa

    known = {"list<int64>": pa.list_(pa.int64()), "bool": pa.bool_()}
    return pa.schema([(name, known.get(kind) or pa.type_for_alias(kind)) for name, kind in columns.items()])


def spark_schema(columns: Mapping[str, str]) -> str:
    """Return the same schema in Spark's words."""
    return ", ".join(f"`{name}` {_SPARK_NAMES[kind]}" for name, kind in columns.items())


def columns_of(spark_schema: str) -> dict[str, str]:
    """Return the columns that a schema in Spark's words names: the way back from ``spark_schema``."""
    kinds = {spark: kind for kind, spark in _SPARK_NAMES.items()}
    pairs = [column.split() for column in spark_schema.replace("`", "").split(", ")]
    return {name: kinds[spark] for name, spark in pairs}


class PartWriter:
    """Writes one Parquet file row by row; it exists, with its schema, even when no row comes."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        import pyarrow.parquet as pq

        self._schema = arrow_schema(columns)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(
            path, self._schema, compression=CODEC, compression_level=CODEC_LEVEL, store_schema=False
        )
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0
        self.num_rows = 0

    def add(self, row: Mapping[str, Any], size: int = 0) -> None:
        """Add a row; ``size`` is that of its text in bytes, so that no row group outgrows the memory."""
        self._rows.append(row)
        self._bytes += size
        self.num_rows += 1
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add a batch of another part as a row group."""
        self._flush()
        self._writer.write_batch(batch.select(self._schema.names).cast(self._schema))
        self.num_rows += batch.num_rows

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._bytes = [], 0

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()


def read(session: SparkSession, files: list[str], columns: Mapping[str, str]) -> DataFrame:
    """Return the rows of parts at any URI as a DataFrame; each part is read in a task of its own."""
    import pyarrow as pa

    schema = spark_schema(columns)
    if not files:
        return session.createDataFrame([], schema)
    listing = session.createDataFrame(pa.table({"part": range(len(files)), "file": files}))
    spread = listing.repartitionById(len(files), listing.part.cast("int")).select("file")
    return spread.mapInArrow(functools.partial(_read_parts, columns=dict(columns)), schema)


def _read_parts(batches: Iterator[pa.RecordBatch], columns: dict[str, str]) -> Iterator[pa.RecordBatch]:
    schema = arrow_schema(columns)
    for batch in batches:
        for found in tables.scan(batch.column("file").to_pylist(), [*columns]):
            yield found.select([*columns]).cast(schema)
