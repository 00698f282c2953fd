"""One source to its ingest artifact: documents that passed the rules that need no other file, signatures, drops.

The artifact is keyed by the source's listing, so other sources never cause this work again. Duplicates and
everything after them belong to ``documents``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pickle
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daybreak_contracts import artifacts, names
from daybreak_contracts.errors import UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.run import Source
from daybreak_contracts.steps import DocumentsArgs
from daybreak_data.documents import partition
from daybreak_data.documents.counters import DocumentCounters
from daybreak_data.documents.exclusion import ExclusionRules, rules_for
from daybreak_data.documents.sampling import Selection, select
from daybreak_data.duplicates import signatures
from daybreak_data.licences import CODE_VERSION as LICENCES_VERSION
from daybreak_data.licences import (
    Evidence,
    evidence_of,
    gives_evidence,
    notice_header,
    spdx_header,
    spdx_of,
)
from daybreak_data.rules import document_rules, no_code
from daybreak_data.sources import Contents, FileRef, Listing, Refused, SourceEntry, UnreadableError, read
from daybreak_data.sources.entries import CONTAINERS, MAX_FILE_BYTES
from daybreak_data.spark.session import watched
from daybreak_data.tables import schemas, writing

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

CODE_VERSION = 5
DOCUMENTS, SIGNATURES, DROPS, LICENCES = "documents", "signatures", "drops", "licences"
REPORT_SCHEMA = "piece long, report binary, evidence binary"
SIGNATURE_COLUMNS = schemas.columns_of(signatures.SIGNATURE_COLUMNS)
STAGE = "ingest"
EXCLUSION_STAGE, EXCLUDED = "exclusion", "excluded"
SIGNED_BYTES = 4 << 20
SAID_PARTS = 5
"""So many broken parts stand in an error's message."""


@dataclasses.dataclass(frozen=True)
class Rules:
    """What a task has to know to judge a file of this source."""

    source: str
    options: document_rules.RuleOptions
    selection: Selection
    exclusion: ExclusionRules
    threshold: float | None
    """Of near-duplicates; None writes no signatures."""


def threshold_of(args: DocumentsArgs) -> float | None:
    """Return the near-duplicate threshold that signatures are made for, None when nobody asks."""
    duplicates = args.data.duplicates
    return float(duplicates.threshold) if duplicates.scope == "File" else None


def digest_of(args: DocumentsArgs, source: Source, listing: Listing) -> str:
    """Return the digest of this source's ingest artifact."""
    return artifacts.digest_of(
        {
            "step": names.STEP_INGEST,
            "codeVersions": [
                CODE_VERSION,
                document_rules.CODE_VERSION,
                signatures.CODE_VERSION,
                LICENCES_VERSION,
            ],
            "source": source.name,
            "listing": listing.fingerprint,
            "excluded": rules_for(args.data.exclude, listing).as_key(),
            "languages": sorted(args.data.languages),
            "filters": args.data.filters.model_dump(exclude_none=True),
            "threshold": threshold_of(args),
            "onError": source.on_error,
            "sample": [args.seed, source.max_bytes] if source.max_bytes else None,
        }
    )


def ingest(
    spark: SparkSession, args: DocumentsArgs, source: Source, listing: Listing, progress: Progress
) -> artifacts.Manifest:
    """Return the source's ingest artifact, made now when it is missing or damaged."""
    digest = digest_of(args, source, listing)
    manifest, _ = artifacts.produce(
        artifacts.uri_of(args.output, names.STEP_INGEST, digest),
        step=names.STEP_INGEST,
        digest=digest,
        inputs={source.name: listing.fingerprint},
        work_dir=args.work_dir,
        write=lambda staging: _write(spark, args, source, listing, progress, staging),
    )
    return manifest


def _write(
    spark: SparkSession,
    args: DocumentsArgs,
    source: Source,
    listing: Listing,
    progress: Progress,
    staging: Path,
) -> dict[str, Any]:
    progress.report(f"listing {source.name}")
    contents = listing.expand()
    options = document_rules.options_of(args.data)
    languages = frozenset(str(language) for language in args.data.languages)
    exclusion = rules_for(args.data.exclude, listing)
    selection = select(contents.refs, languages, args.seed, source.max_bytes, exclusion)
    rules = Rules(source.name, options, selection, exclusion, threshold_of(args))
    report, chosen = _choose(contents, rules)
    report.add(_write_refused(source.name, contents.refused, staging))
    _allow_broken(source, report)
    report.add(_run(spark, partition.cut(chosen), rules, staging, progress))
    _allow_broken(source, report)
    if report.num_files == 0:
        raise UserError(f"source {source.name}: no files in it, point it at source code")
    return report.as_json()


def _allow_broken(source: Source, report: DocumentCounters) -> None:
    """End the step when parts are broken and the source does not say to skip them."""
    if report.num_broken and source.on_error == "Fail":
        more = f"; and {report.num_broken - SAID_PARTS} more" if report.num_broken > SAID_PARTS else ""
        raise UserError(f"source {source.name}: {'; '.join(report.broken[:SAID_PARTS])}{more}")


def _choose(contents: Contents, rules: Rules) -> tuple[DocumentCounters, list[FileRef]]:
    """Leave plain files out that the sample does not take; containers are chosen from inside the tasks.

    Excluded files stay, to be named in the drops; they are not opened.
    """
    report, chosen = DocumentCounters(), []
    for ref in contents.refs:
        if (
            ref.kind in CONTAINERS
            or rules.exclusion.reason_for(ref.repository, ref.path)
            or rules.selection.takes(ref.repository, ref.path, ref.size)
            or gives_evidence(ref.path)  # a licence counts, also where the sample leaves its file out
        ):
            chosen.append(ref)
        else:
            report.drop("sample", ref.size)
    return report, chosen


def _write_refused(source: str, refused: tuple[Refused, ...], staging: Path) -> DocumentCounters:
    report = DocumentCounters()
    with writing.PartWriter(staging / DROPS / "listing.parquet", schemas.DROPS) as drops:
        for item in refused:
            write_refused(source, item, drops, report)
    return report


def _run(
    spark: SparkSession, pieces: list[partition.Piece], rules: Rules, staging: Path, progress: Progress
) -> DocumentCounters:
    import pyarrow as pa

    if not pieces:
        return DocumentCounters()
    plans = [zlib.compress(pickle.dumps(piece), 1) for piece in pieces]
    table = pa.table({"piece": [piece.index for piece in pieces], "plan": pa.array(plans, pa.binary())})
    listed = spark.createDataFrame(table)
    frame = listed.repartitionById(len(pieces), listed.piece.cast("int"))  # exactly one piece a task
    task = partial(ingest_pieces, rules=rules, staging=str(staging))
    with watched(spark, progress, f"reading {rules.source}"):
        rows = frame.mapInArrow(task, REPORT_SCHEMA).toArrow().to_pylist()
    report = DocumentCounters()
    with writing.PartWriter(staging / LICENCES / schemas.part_name(0), schemas.LICENCES) as licences:
        for row in sorted(rows, key=lambda row: int(row["piece"])):
            report.add(pickle.loads(row["report"]))  # made by our own task of this very run
            for found in pickle.loads(row["evidence"]):
                licences.add(dataclasses.asdict(found))
    return report


def ingest_pieces(batches: Iterator[pa.RecordBatch], rules: Rules, staging: str) -> Iterator[pa.RecordBatch]:
    """Run in a Spark task: write the parts of these pieces and yield what was counted."""
    import pyarrow as pa

    for batch in batches:
        for plan in batch.column("plan").to_pylist():
            piece: partition.Piece = pickle.loads(zlib.decompress(plan))
            made = (pickle.dumps(part) for part in ingest_piece(piece, rules, Path(staging)))
            columns = [pa.array([piece.index], pa.int64()), *(pa.array([part], pa.binary()) for part in made)]
            yield pa.RecordBatch.from_arrays(columns, names=["piece", "report", "evidence"])


def ingest_piece(
    piece: partition.Piece, rules: Rules, staging: Path
) -> tuple[DocumentCounters, list[Evidence]]:
    """Read and judge the files of a piece; write its documents, signatures and drops."""
    with contextlib.ExitStack() as stack:
        writer = PieceWriter(piece, rules, staging, stack)
        for item in read(piece.refs):
            writer.take(item)
    return writer.report, writer.evidence


class PieceWriter:
    """The three parts of one piece, and what was counted while they were written."""

    def __init__(
        self, piece: partition.Piece, rules: Rules, staging: Path, stack: contextlib.ExitStack
    ) -> None:
        name = schemas.part_name(piece.index)
        self._rules, self._headers = rules, piece.headers
        self._documents = stack.enter_context(
            writing.PartWriter(staging / DOCUMENTS / name, schemas.INGESTED)
        )
        self._drops = stack.enter_context(writing.PartWriter(staging / DROPS / name, schemas.DROPS))
        self._signatures: SignatureWriter | None = None
        if rules.threshold is not None:
            signed = stack.enter_context(writing.PartWriter(staging / SIGNATURES / name, SIGNATURE_COLUMNS))
            self._signatures = stack.enter_context(SignatureWriter(signed, rules.threshold))
        self.report = DocumentCounters()
        self.evidence: list[Evidence] = []

    def take(self, item: SourceEntry | Refused) -> None:
        """Judge one file."""
        if isinstance(item, Refused):
            write_refused(self._rules.source, item, self._drops, self.report)
            return
        if why := self._rules.exclusion.reason_for(item.repository, item.path):
            drop = document_rules.Drop(EXCLUSION_STAGE, EXCLUDED, why)
            self._keep_or_drop(item, document_rules.Assessed(drop=drop))
            return
        item = self._with_evidence(item)
        if not self._rules.selection.takes(item.repository, item.path, item.size):
            self.report.drop("sample", item.size)
        else:
            self._judge(item)

    def _with_evidence(self, item: SourceEntry) -> SourceEntry:
        """Note what a file says about licences; it may be none that is kept, and its bytes come but once."""
        if item.size > MAX_FILE_BYTES or not gives_evidence(item.path):
            return item
        item = dataclasses.replace(item, load=functools.cache(item.load))
        with contextlib.suppress(UnreadableError):
            found = evidence_of(item.repository, item.path, item.load())
            if found is not None:
                self.evidence.append(found)
        return item

    def _judge(self, item: SourceEntry) -> None:
        try:
            data = item.load() if item.size <= MAX_FILE_BYTES else b""
        except UnreadableError as error:
            refused = Refused(item.repository, item.path, item.size, error.reason, error.detail)
            return write_refused(self._rules.source, refused, self._drops, self.report)
        if item.size > MAX_FILE_BYTES:
            refused = Refused(item.repository, item.path, item.size, "too-large", _too_large(item))
            return write_refused(self._rules.source, refused, self._drops, self.report)
        # Rules about folders (node_modules/, Pods/) must see the one that became the repository's name, too.
        path = f"{item.repository}/{item.path}"
        header = self._headers.get((item.repository, item.path), "")
        assessed = document_rules.assess_before_duplicates(
            path, data, self._rules.options, item.language, header
        )
        return self._keep_or_drop(item, assessed)

    def _keep_or_drop(self, item: SourceEntry, assessed: document_rules.Assessed) -> None:
        row = identity(self._rules.source, item.repository, item.path, item.revision)
        if assessed.drop is not None:
            about = {"language": assessed.language or "", "size_bytes": item.size}
            self._drops.add({**row, **about, **dataclasses.asdict(assessed.drop)})
            self.report.drop(assessed.drop.reason, item.size)
            return
        encoded = assessed.text.encode()
        described = {
            "document_id": schemas.document_id_of(encoded),
            "language": assessed.language,
            "licence": _own_licence(item, assessed),
            "encoding": assessed.encoding,
            "size_bytes": len(encoded),
            "text": assessed.text,
        }
        self._documents.add({**row, **described}, len(encoded))
        if self._signatures is not None:
            self._signatures.add(row["path_id"], assessed.language or "", assessed.text, len(encoded))
        self.report.keep(item.size, len(encoded))


def _own_licence(item: SourceEntry, assessed: document_rules.Assessed) -> str:
    """Return what the source says of a file, or the file of itself: by a tag, else by a notice; empty for nothing."""
    if item.licence:
        return spdx_of(item.licence)
    language = assessed.language or ""
    return spdx_header(assessed.text, language) or notice_header(assessed.text, language)


def _too_large(item: SourceEntry) -> str:
    remedy = no_code.remedy_for(item.path)
    return f"{item.size} bytes, {remedy}" if remedy else f"{item.size} bytes"


class SignatureWriter:
    """Makes signatures of a few megabytes of text at once."""

    def __init__(self, part: writing.PartWriter, threshold: float) -> None:
        self._part = part
        self._threshold = threshold
        self._path_ids: list[int] = []
        self._languages: list[str] = []
        self._texts: list[str] = []
        self._bytes = 0

    def add(self, path_id: int, language: str, text: str, size: int) -> None:
        """Add a document of ``size`` bytes."""
        self._path_ids.append(path_id)
        self._languages.append(language)
        self._texts.append(text)
        self._bytes += size
        if self._bytes >= SIGNED_BYTES:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        texts = pa.array(self._texts, pa.string())
        batch = pa.record_batch({"path_id": self._path_ids, "language": self._languages, "text": texts})
        for signed in signatures.signature_batches(iter([batch]), self._threshold):
            self._part.add_batch(signed)
        self._path_ids, self._languages, self._texts, self._bytes = [], [], [], 0

    def __enter__(self) -> SignatureWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._texts:
            self._flush()


def identity(source: str, repository: str, path: str, revision: int = 0) -> dict[str, Any]:
    """Return the four columns that every table has."""
    path_id = schemas.path_id_of(source, repository, path, revision)
    return {"path_id": path_id, "source": source, "repository": repository, "path": path}


def write_refused(source: str, item: Refused, drops: writing.PartWriter, report: DocumentCounters) -> None:
    """Count and write a file that could not be read at all."""
    about = {
        "language": "",
        "size_bytes": item.size,
        "stage": STAGE,
        "reason": item.reason,
        "detail": item.detail,
    }
    drops.add({**identity(source, item.repository, item.path), **about})
    report.drop(item.reason, item.size)
    if item.fatal:
        report.note_broken(item.detail)
