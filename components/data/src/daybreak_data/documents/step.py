"""The documents step: sources to clean, deduplicated documents, and an account of everything left out.

Owns the order of the work (ingest per source; then duplicates, contamination, syntax and personal data over
all) and the artifact's layout. The rules are ``document_rules`` and ``duplicates``; reading is ``sources``.
"""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daybreak_contracts import artifacts, names
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.run import Source
from daybreak_contracts.steps import DocumentsArgs, DocumentsResult
from daybreak_data import duplicates
from daybreak_data.documents import finalize, forgotten, ingest
from daybreak_data.documents.counters import DocumentCounters
from daybreak_data.duplicates import decontaminate, problem_texts
from daybreak_data.licences import CODE_VERSION as LICENCES_VERSION
from daybreak_data.licences import Evidence, RepositoryLicences, is_permitted
from daybreak_data.rules import document_rules
from daybreak_data.sources import Listing, list_source
from daybreak_data.spark.session import open_session, watched
from daybreak_data.tables import reading, schemas, writing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame, SparkSession

CODE_VERSION = 3
NOT_OF_DOCUMENTS = {
    "sources",
    "executors",
    "languages",
    "exclude",
    "mixture",
    "layout",
    "decontaminate_files",
}
"""Fields of ``data`` that change no document, or that the digest holds in another form."""
PART_BYTES = 8 << 20
MAX_PARTS = 4096
MAX_BROADCAST_ROWS = 2_000_000
READ_SHARE, COMPARED_SHARE = 0.5, 0.65
"""Of the step's time, how much is over when all is read, and when duplicates are found."""
DESCRIPTION = {name: kind for name, kind in schemas.INGESTED.items() if name not in ("encoding", "text")}
TEXTS = {name: schemas.INGESTED[name] for name in ("path_id", "text")}
REPORT_SCHEMA = "part long, report binary"
Ingested = dict[str, tuple[str, artifacts.Manifest]]
"""Name of a source to the URI and the manifest of its ingest artifact."""


def run_documents(args: DocumentsArgs, progress: Progress) -> DocumentsResult:
    """Make the documents artifact, or find it. No document left is a UserError with the counts by reason."""
    args = forgotten.obeyed(args)
    listed = [(source, _list(source, args, progress)) for source in args.data.sources]
    present = _find_ingested(args, listed)
    if present is not None:  # decided by manifests alone: no Java is started when nothing changed
        digest = _digest_of(args, present)
        uri = artifacts.uri_of(args.output, names.STEP_DOCUMENTS, digest)
        manifest = artifacts.find(uri, digest)
        if manifest is not None:
            return _result(uri, manifest, cached=True)
    return _make(args, listed, progress)


def _list(source: Source, args: DocumentsArgs, progress: Progress) -> Listing:
    progress.report(f"looking at {source.name}")
    return list_source(source, args.work_dir)


def _find_ingested(args: DocumentsArgs, listed: list[tuple[Source, Listing]]) -> Ingested | None:
    """Return the sources' ingest artifacts, when all of them are there; their bytes are not looked at yet."""
    found: Ingested = {}
    for source, listing in listed:
        digest = ingest.digest_of(args, source, listing)
        uri = artifacts.uri_of(args.output, names.STEP_INGEST, digest)
        try:
            manifest = artifacts.load(uri)
        except ArtifactError:
            return None
        if manifest.digest != digest:
            return None
        found[source.name] = (uri, manifest)
    return found


def _digest_of(args: DocumentsArgs, ingested: Ingested) -> str:
    files = args.data.decontaminate_files
    return artifacts.digest_of(
        {
            "step": names.STEP_DOCUMENTS,
            "codeVersions": [
                CODE_VERSION,
                document_rules.CODE_VERSION,
                duplicates.CODE_VERSION,
                decontaminate.CODE_VERSION,
                LICENCES_VERSION,
            ],
            "data": args.data.model_dump(mode="json", exclude=NOT_OF_DOCUMENTS),
            "languages": sorted(args.data.languages),
            "excludedDocuments": sorted(args.data.exclude.document_ids),
            "ingested": _inputs(ingested),
            # named only where there are some: runs without any keep their documents
            **({"decontaminateFiles": problem_texts.digests_of(files)} if files else {}),
        }
    )


def _inputs(ingested: Ingested) -> dict[str, str]:
    """By content: a source whose files were touched but not changed makes the same documents."""
    return {name: manifest.content_digest for name, (_, manifest) in ingested.items()}


def _make(args: DocumentsArgs, listed: list[tuple[Source, Listing]], progress: Progress) -> DocumentsResult:
    problems = problem_texts.known_problems(args.data.decontaminate, args.data.decontaminate_files)
    progress.report("starting Spark")
    with open_session("documents", args.cores, args.work_dir, args.data.executors.count) as spark:
        ingested: Ingested = {}
        for number, (source, listing) in enumerate(listed):
            part = progress.part(number / len(listed) * READ_SHARE, (number + 1) / len(listed) * READ_SHARE)
            manifest = ingest.ingest(spark, args, source, listing, part)
            uri = artifacts.uri_of(args.output, names.STEP_INGEST, manifest.digest)
            ingested[source.name] = (uri, manifest)
        digest = _digest_of(args, ingested)
        uri = artifacts.uri_of(args.output, names.STEP_DOCUMENTS, digest)
        manifest, cached = artifacts.produce(
            uri,
            step=names.STEP_DOCUMENTS,
            digest=digest,
            inputs=_inputs(ingested),
            work_dir=args.work_dir,
            write=lambda staging: _write(spark, args, (ingested, problems), staging, progress),
        )
    return _result(uri, manifest, cached=cached)


def _result(uri: str, manifest: artifacts.Manifest, *, cached: bool) -> DocumentsResult:
    return DocumentsResult.model_validate(
        {**manifest.result, "uri": uri, "digest": manifest.digest, "cached": cached}
    )


def _write(
    spark: SparkSession,
    args: DocumentsArgs,
    read: tuple[Ingested, problem_texts.KnownProblems],
    staging: Path,
    progress: Progress,
) -> dict[str, Any]:
    ingested, problems = read
    total = DocumentCounters()
    for _, manifest in ingested.values():
        total.add(DocumentCounters.of(manifest.result))
    _require_documents(args, total)
    _copy_drops(ingested, staging)
    repositories = _repositories(ingested)
    description = _description(spark, args, ingested, repositories).persist()
    try:
        with watched(spark, progress.part(READ_SHARE, COMPARED_SHARE), "finding duplicates"):
            clusters = _find_clusters(spark, args, ingested, description)
            removed = _write_clusters(clusters, staging) if clusters is not None else DocumentCounters()
        with watched(spark, progress.part(COMPARED_SHARE, 1), "checking syntax and personal data"):
            gone = clusters.where("NOT kept").select("path_id") if clusters is not None else None
            finish = finalize.Finish(
                document_rules.options_of(args.data),
                problems,
                _num_parts(ingested),
                str(staging),
                repositories,
                args.data.licences,
                frozenset(args.data.exclude.document_ids),
            )
            finished = _finish(
                spark, _files(ingested, ingest.DOCUMENTS), gone, removed.dropped.total(), finish
            )
    finally:
        description.unpersist()
    total.dropped.update(removed.dropped)
    total.dropped.update(finished.dropped)
    total.num_documents, total.document_bytes = finished.num_documents, finished.document_bytes
    _require_documents(args, total)
    _complete(staging)
    return {
        "num_files": total.num_files,
        "num_bytes": total.num_bytes,
        "num_documents": total.num_documents,
        "document_bytes": total.document_bytes,
        "dropped": dict(sorted(total.dropped.items())),
        "num_skipped": total.num_broken,
        "skipped": total.broken,
        "languages": dict(sorted(finished.languages.items())),
    }


def _require_documents(args: DocumentsArgs, total: DocumentCounters) -> None:
    if total.num_documents:
        return
    counts = ", ".join(f"{reason} {count}" for reason, count in total.dropped.most_common())
    sources = ", ".join(source.name for source in args.data.sources)
    languages = ", ".join(args.data.languages)
    inside = "; what is inside data sets and archives needs a source of kind jsonl, parquet or archives"
    remedy = inside if {"data-set", "archive"} & set(total.dropped) else ""
    raise UserError(
        f"no document is left of {total.num_files} files ({counts or 'no files'}): point data.sources ({sources}) "
        f"at code in {languages}, add to data.languages, or choose another data.filters.profile{remedy}"
    )


def _files(ingested: Ingested, table: str) -> list[str]:
    return [file for uri, manifest in ingested.values() for file in reading.files_of(uri, manifest, table)]


def _copy_drops(ingested: Ingested, staging: Path) -> None:
    """Lay the sources' drops into one file, in their order."""
    files = _files(ingested, ingest.DROPS)
    with writing.PartWriter(staging / reading.DROPS / "ingest.parquet", schemas.DROPS) as drops:
        for batch in reading.scan(files, [*schemas.DROPS]):
            drops.add_batch(batch)


def _find_clusters(
    spark: SparkSession, args: DocumentsArgs, ingested: Ingested, description: DataFrame
) -> DataFrame | None:
    """Return all clusters (computed and kept until the session ends), or None when nobody asks for them."""
    scope = args.data.duplicates.scope
    if scope == "None":
        return None
    exact = duplicates.find_exact_duplicates(description).persist()
    if scope == "Exact":
        return exact
    unique = description.join(exact.where("NOT kept").select("path_id"), "path_id", "left_anti")
    signatures = reading.read(spark, _files(ingested, ingest.SIGNATURES), ingest.SIGNATURE_COLUMNS)
    texts = partial(_texts_of, spark, _files(ingested, ingest.DOCUMENTS))
    near = duplicates.find_near_duplicates(signatures, unique, texts, float(args.data.duplicates.threshold))
    return exact.unionByName(near).localCheckpoint(eager=True)


def _texts_of(spark: SparkSession, files: list[str], path_ids: NDArray[np.int64]) -> DataFrame:
    """Return ``path_id`` and ``text`` of a few of the documents; the others never leave the tasks that read them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(path_ids)

    def choose(batch: pa.RecordBatch) -> pa.RecordBatch:
        chosen = batch.filter(pc.is_in(batch.column("path_id"), wanted))
        return chosen.cast(schemas.arrow_schema(TEXTS))

    return reading.read_through(spark, files, [*TEXTS], choose, schemas.spark_schema(TEXTS))


def _write_clusters(clusters: DataFrame, staging: Path) -> DocumentCounters:
    """Write the clusters and a drop for each member that is not kept: small tables beside the text, one task."""
    from pyspark.sql import functions as f

    order = ("kind", "cluster_id", f.col("kept").desc(), "path_id")
    ordered = clusters.select(*schemas.CLUSTERS).repartition(1).sortWithinPartitions(*order)
    return _sum(ordered.mapInArrow(partial(finalize.write_clusters, staging=str(staging)), REPORT_SCHEMA))


def _sum(reports: DataFrame) -> DocumentCounters:
    """Run the tasks and add up what they counted, in the order of their parts."""
    total = DocumentCounters()
    for row in sorted(reports.toArrow().to_pylist(), key=lambda row: int(row["part"])):
        total.add(pickle.loads(row["report"]))  # made by our own task of this very run
    return total


def _repositories(ingested: Ingested) -> RepositoryLicences:
    """Return what all sources' files say about the licences of their folders."""
    found = []
    for source, (uri, manifest) in ingested.items():
        files = reading.files_of(uri, manifest, ingest.LICENCES)
        for batch in reading.scan(files, [*schemas.LICENCES]):
            found += [(source, Evidence(**row)) for row in batch.to_pylist()]
    return RepositoryLicences(found)


def _description(
    spark: SparkSession, args: DocumentsArgs, ingested: Ingested, repositories: RepositoryLicences
) -> DataFrame:
    """Return all but the texts of the documents whose licence is permitted: the others take nobody's place."""
    import pyarrow as pa

    licences = args.data.licences

    def describe(batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = [{**row, "licence": finalize.licence_of(row, repositories)} for row in batch.to_pylist()]
        permitted = [row for row in rows if is_permitted(row["licence"], licences)]
        return pa.RecordBatch.from_pylist(permitted, schema=schemas.arrow_schema(DESCRIPTION))

    files = _files(ingested, ingest.DOCUMENTS)
    return reading.read_through(spark, files, [*DESCRIPTION], describe, schemas.spark_schema(DESCRIPTION))


def _num_parts(ingested: Ingested) -> int:
    num_bytes = sum(int(manifest.result["document_bytes"]) for _, manifest in ingested.values())
    return min(max(1, -(-num_bytes // PART_BYTES)), MAX_PARTS)


def _finish(
    spark: SparkSession, files: list[str], gone: DataFrame | None, num_gone: int, finish: finalize.Finish
) -> DocumentCounters:
    """Judge what is left and write the last parts: rows go to the part that their id says, in that order."""
    from pyspark.sql import functions as f

    documents = reading.read(spark, files, schemas.INGESTED)
    if gone is not None and num_gone:
        few = num_gone <= MAX_BROADCAST_ROWS
        documents = documents.join(f.broadcast(gone) if few else gone, "path_id", "left_anti")
    part = f.pmod(f.col("path_id"), f.lit(finish.num_parts)).cast("int")
    ordered = documents.repartitionById(finish.num_parts, part).sortWithinPartitions("path_id")
    return _sum(ordered.mapInArrow(partial(finalize.finish_partition, finish=finish), REPORT_SCHEMA))


def _complete(staging: Path) -> None:
    """Make sure that every table has a file, so that a reader finds its columns."""
    columns = {
        reading.DOCUMENTS: schemas.DOCUMENTS,
        reading.DROPS: schemas.DROPS,
        reading.PERSONAL_DATA: schemas.PERSONAL_DATA,
        reading.CLUSTERS: schemas.CLUSTERS,
    }
    for table, schema in columns.items():
        if not any((staging / table).glob("*.parquet")):
            with writing.PartWriter(staging / table / schemas.part_name(0), schema):
                pass
