"""What all tests of the data room share: one small Spark session, documents artifacts written by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from daybreak_contracts import artifacts, names
from daybreak_data.spark.session import open_session
from tests.plugins.needs import starts

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
@starts("jvm")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A session on two local threads; steps that run in this process use it again."""
    with open_session("tests", 2, str(tmp_path_factory.mktemp("spark"))) as session:
        yield session


Row = dict[str, Any]
WriteDocuments = Callable[..., str]

PLACE = {"path_id": pa.int64(), "source": pa.string(), "repository": pa.string(), "path": pa.string()}
SCHEMAS = {
    "documents": {
        "document_id": pa.string(),
        **PLACE,
        "language": pa.string(),
        "licence": pa.string(),
        "encoding": pa.string(),
        "size_bytes": pa.int64(),
        "quality": pa.float64(),
        "num_redactions": pa.int32(),
        "text": pa.string(),
    },
    "drops": {
        **PLACE,
        "language": pa.string(),
        "size_bytes": pa.int64(),
        "stage": pa.string(),
        "reason": pa.string(),
        "detail": pa.string(),
    },
    "personal_data": {
        **PLACE,
        "kind": pa.string(),
        "rule": pa.string(),
        "start": pa.int32(),
        "end": pa.int32(),
        "value_sha256": pa.string(),
    },
    "clusters": {
        "cluster_id": pa.int64(),
        "kind": pa.string(),
        **PLACE,
        "language": pa.string(),
        "size_bytes": pa.int64(),
        "kept": pa.bool_(),
        "similarity": pa.float64(),
    },
}


def _complete(row: Row) -> Row:
    """Fill in what follows from the rest of a row: ids and sizes."""
    row = {"source": "src", "repository": "repo", "language": "python", **row}
    place = "\0".join([row["source"], row["repository"], row["path"]])
    path_id = xxhash.xxh64_intdigest(place)
    filled: Row = {"path_id": path_id - (1 << 64) if path_id >= 1 << 63 else path_id, "size_bytes": 0}
    if "text" in row:
        data = row["text"].encode()
        filled |= {"document_id": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
        filled |= {"licence": "MIT", "encoding": "utf-8", "quality": 1.0, "num_redactions": 0}
    return filled | row


@pytest.fixture
def write_documents(tmp_path: Path) -> WriteDocuments:
    """Commit a documents artifact as docs/artifacts.md lays it out and return its URI."""

    def write(
        documents: Sequence[Row],
        *,
        drops: Sequence[Row] = (),
        personal_data: Sequence[Row] = (),
        clusters: Sequence[Row] = (),
        files: int = 2,
        result: dict[str, Any] | None = None,
        folder: str = "out",
    ) -> str:
        tables = {
            "documents": documents,
            "drops": drops,
            "personal_data": personal_data,
            "clusters": clusters,
        }
        rows = {name: [_complete(row) for row in table] for name, table in tables.items()}
        digest = artifacts.digest_of([rows, files])
        uri = artifacts.uri_of(str(tmp_path / folder), names.STEP_DOCUMENTS, digest)
        staging = artifacts.staging_folder(uri, str(tmp_path))
        for name, table in rows.items():
            schema = pa.schema(list(SCHEMAS[name].items()))
            (staging / name).mkdir()
            for part in range(files):
                chunk = pa.Table.from_pylist(table[part::files], schema=schema)
                pq.write_table(chunk, staging / name / f"part-{part:05}.parquet", compression="zstd")
        found = {"num_files": len(documents) + len(drops), **(result or {})}
        artifacts.commit(uri, staging, step=names.STEP_DOCUMENTS, digest=digest, inputs={}, result=found)
        return uri

    return write
