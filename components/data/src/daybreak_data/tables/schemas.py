"""The Parquet schemas of the ingest and documents artifacts, for Arrow and for Spark, and the ids of their rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    import pyarrow as pa

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
LICENCES = {
    "repository": "string",
    "folder": "string",
    "kind": "string",
    "name": "string",
    "expression": "string",
}
DOCUMENTS = {
    "document_id": "string",
    **_IDENTITY,
    "language": "string",
    "licence": "string",
    "encoding": "string",
    "size_bytes": "int64",
    "quality": "double",
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
    "similarity": "double",
}
_SPARK_NAMES = {
    "int64": "long",
    "int32": "int",
    "double": "double",
    "string": "string",
    "binary": "binary",
    "bool": "boolean",
    "list<int64>": "array<long>",
}


def path_id_of(source: str, repository: str, path: str, revision: int = 0) -> int:
    """Return the signed 64-bit id of a file: xxhash64 of its source, repository, path and later revision."""
    place = f"{source}\0{repository}\0{path}" + (f"\0{revision}" if revision else "")
    value = xxhash.xxh64_intdigest(place.encode())
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
