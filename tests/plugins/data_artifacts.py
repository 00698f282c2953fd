"""Artifacts of the data steps made by the room's own writers, without Spark: documents, a tokenizer, shards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from daybreak_contracts import artifacts, names, storage
from daybreak_data.shards import step as shards
from daybreak_data.shards import writer
from daybreak_data.shards.mixture import Mixture
from daybreak_data.shards.plan import NO_MIXTURE
from daybreak_data.tables import reading, schemas, writing
from daybreak_data.tokenizer import step as tokenizer
from daybreak_model.repository_context import ALONE, Layout

CONTEXT = 32


def document(path: str, text: str, **columns: Any) -> dict[str, Any]:
    """Return a row of the documents table."""
    row = {"source": "src", "repository": "acme/app", "language": "python", "licence": "MIT", **columns}
    return {
        **row,
        "path": path,
        "path_id": schemas.path_id_of(row["source"], row["repository"], path),
        "document_id": schemas.document_id_of(text.encode()),
        "encoding": "utf-8",
        "size_bytes": len(text.encode()),
        "quality": 1.0,
        "num_redactions": 0,
        "text": text,
    }


def dropped(path: str, reason: str, **columns: Any) -> dict[str, Any]:
    """Return a row of the drops table."""
    return {**document(path, "", **columns), "stage": "filter", "reason": reason, "detail": ""}


def cluster(row: dict[str, Any], of: dict[str, Any], *, kept: bool) -> dict[str, Any]:
    """Return a row of the clusters table: a file, and the one that is kept for it."""
    return {**row, "cluster_id": of["path_id"], "kind": "Exact", "kept": kept, "similarity": 1.0}


def _write_table(folder: Path, columns: dict[str, str], rows: Sequence[dict[str, Any]], parts: int) -> None:
    for part in range(parts):
        with writing.PartWriter(folder / schemas.part_name(part), columns) as table:
            for row in rows[part::parts]:
                table.add({name: row[name] for name in columns})


def write_documents(
    output: Path,
    rows: Sequence[dict[str, Any]],
    drops: Sequence[dict[str, Any]] = (),
    *,
    clusters: Sequence[dict[str, Any]] = (),
    parts: int = 2,
) -> str:
    """Commit a documents artifact and return its URI."""
    digest = artifacts.digest_of([rows, drops, clusters, parts])
    uri = artifacts.uri_of(str(output), names.STEP_DOCUMENTS, digest)
    staging = artifacts.staging_folder(uri, str(output))
    _write_table(staging / reading.DOCUMENTS, schemas.DOCUMENTS, rows, parts)
    _write_table(staging / reading.DROPS, schemas.DROPS, drops, parts)
    _write_table(staging / reading.PERSONAL_DATA, schemas.PERSONAL_DATA, (), 1)
    _write_table(staging / reading.CLUSTERS, schemas.CLUSTERS, clusters, 1)
    result = {"num_documents": len(rows)}
    artifacts.commit(uri, staging, step=names.STEP_DOCUMENTS, digest=digest, inputs={}, result=result)
    return uri


def write_ingest(output: Path, rows: Sequence[dict[str, Any]], drops: Sequence[dict[str, Any]] = ()) -> str:
    """Commit an ingest artifact and return its URI."""
    digest = artifacts.digest_of(["ingest", rows])
    uri = artifacts.uri_of(str(output), names.STEP_INGEST, digest)
    staging = artifacts.staging_folder(uri, str(output))
    _write_table(staging / reading.DOCUMENTS, schemas.INGESTED, rows, 1)
    _write_table(staging / reading.DROPS, schemas.DROPS, drops, 1)
    found = [{"repository": name} for name in sorted({row["repository"] for row in rows})]
    _write_table(staging / "licences", {"repository": "string"}, found, 1)
    artifacts.commit(uri, staging, step=names.STEP_INGEST, digest=digest, inputs={}, result={})
    return uri


def write_made(output: Path, step: str, *made_of: str) -> str:
    """Commit an artifact of a later step, of which only the inputs matter, and return its URI."""
    inputs = {f"input{number}": artifacts.load(uri).digest for number, uri in enumerate(made_of)}
    digest = artifacts.digest_of([step, inputs])
    uri = artifacts.uri_of(str(output), step, digest)
    staging = artifacts.staging_folder(uri, str(output))
    (staging / "model.safetensors").write_bytes(b"weights")
    artifacts.commit(uri, staging, step=step, digest=digest, inputs=inputs, result={})
    return uri


def tokenizer_json(texts: Iterable[str]) -> str:
    """Return a small tokenizer of these texts."""
    return tokenizer.padded(tokenizer.train(iter(texts), 400).to_str())


def write_tokenizer(output: Path, text: str, documents: str) -> str:
    """Commit a tokenizer artifact that was trained on a documents artifact."""
    digest = artifacts.digest_of(text)
    uri = artifacts.uri_of(str(output), names.STEP_TOKENIZER, digest)
    staging = artifacts.staging_folder(uri, str(output))
    tokenizer.save(text, staging)
    inputs = {"documents": artifacts.load(documents).digest}
    artifacts.commit(uri, staging, step=names.STEP_TOKENIZER, digest=digest, inputs=inputs, result={})
    return uri


def write_shards(
    output: Path,
    documents: str,
    tokenizer_uri: str,
    *,
    mixture: Mixture = NO_MIXTURE,
    layout: Layout = ALONE,
    size_limit: int = 4000,
) -> str:
    """Commit the shards of a documents artifact and return their URI."""
    manifest = artifacts.load(documents)
    files = reading.files_of(documents, manifest, reading.DOCUMENTS)
    plan = shards.read_plan(files, 0.2, 0, mixture, layout)
    text = storage.read_bytes(storage.join(tokenizer_uri, tokenizer.TOKENIZER_FILE)).decode()
    parts = str(output / "parts")
    job = writer.ShardTask(text, "uint16", CONTEXT, parts, str(output / "work"), size_limit, layout)
    Path(parts).mkdir(parents=True)
    read = pa.Table.from_batches(list(reading.scan(files, shards.COLUMNS))).combine_chunks().to_batches()
    every = frozenset(range(plan.num_partitions))
    rows = pa.Table.from_batches([shards.placed_rows(plan, batch, every) for batch in read])
    rows = rows.sort_by([(column, "ascending") for column in shards.ORDER[layout]]).combine_chunks()
    for _ in writer.write_partitions(
        iter(rows.to_batches()), job, [shards.folder_of(plan, part) for part in sorted(every)]
    ):
        pass
    inputs = {"documents": manifest.digest, "tokenizer": artifacts.load(tokenizer_uri).digest}
    digest = artifacts.digest_of(inputs)
    uri = artifacts.uri_of(str(output), names.STEP_SHARDS, digest)
    staging = artifacts.staging_folder(uri, str(output))
    result = shards.join(plan, job, staging)
    artifacts.commit(uri, staging, step=names.STEP_SHARDS, digest=digest, inputs=inputs, result=result)
    storage.remove_tree(parts)
    return uri
