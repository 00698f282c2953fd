"""The last part of the documents step, inside Spark tasks: rules after duplicates, and the final parts.

A task gets one hash partition in the order of the ids and writes its parts of three tables.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daybreak_contracts.resources.licences import Licences
from daybreak_data.documents import ingest
from daybreak_data.documents.counters import DocumentCounters
from daybreak_data.duplicates.decontaminate import contaminations
from daybreak_data.duplicates.problem_texts import KnownProblems
from daybreak_data.licences import RepositoryLicences, is_permitted
from daybreak_data.rules import document_rules
from daybreak_data.tables import reading, schemas, writing

if TYPE_CHECKING:
    import pyarrow as pa

IDENTITY = ("path_id", "source", "repository", "path")


@dataclasses.dataclass(frozen=True)
class Finish:
    """What a finalizing task has to know."""

    options: document_rules.RuleOptions
    problems: KnownProblems
    """Whoever gives one of them away is dropped."""
    num_parts: int
    staging: str
    repositories: RepositoryLicences
    licences: Licences
    """Which of them are let in."""
    excluded: frozenset[str] = frozenset()
    """Ids of documents that the manifest excludes."""


def finish_partition(batches: Iterator[pa.RecordBatch], finish: Finish) -> Iterator[pa.RecordBatch]:
    """Write one partition's documents, drops and personal data; yield what was counted."""
    rows = _with_problems(batches, finish.problems)
    first = next(rows, None)
    if first is None:
        return
    index, report = part_of(first[0]["path_id"], finish.num_parts), DocumentCounters()
    with contextlib.ExitStack() as stack:
        writer = _FinalWriter(index, finish, stack, report)
        for row, problem in itertools.chain([first], rows):
            writer.take(row, problem)
    yield _reported(index, report)


def _with_problems(
    batches: Iterator[pa.RecordBatch], known: KnownProblems
) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield each row and the evaluation problem that its text gives away."""
    for batch in batches:
        rows = batch.to_pylist()
        problems = contaminations(batch.column("text"), known) if known else [None] * len(rows)
        yield from zip(rows, problems, strict=True)


def licence_of(row: Mapping[str, Any], repositories: RepositoryLicences) -> str:
    """Return the licence of a document of the ingest artifact."""
    return repositories.licence_of(row["source"], row["repository"], row["path"], row["licence"])


def part_of(path_id: int, num_parts: int) -> int:
    """Return the part of a document: its id is a hash already (Spark: ``pmod(path_id, num_parts)``)."""
    return path_id % num_parts


class _FinalWriter:
    def __init__(
        self, index: int, finish: Finish, stack: contextlib.ExitStack, report: DocumentCounters
    ) -> None:
        folder, name = Path(finish.staging), schemas.part_name(index)

        def part(table: str, prefix: str, columns: Mapping[str, str]) -> writing.PartWriter:
            return stack.enter_context(writing.PartWriter(folder / table / (prefix + name), columns))

        self._finish = finish
        self._report = report
        self._documents = part(reading.DOCUMENTS, "", schemas.DOCUMENTS)
        self._drops = part(reading.DROPS, "rules-", schemas.DROPS)
        self._personal_data = part(reading.PERSONAL_DATA, "", schemas.PERSONAL_DATA)

    def take(self, row: dict[str, Any], problem: str | None) -> None:
        """Judge one document; ``problem`` is what its text gives away."""
        if row["document_id"] in self._finish.excluded:
            self._drop(row, ingest.EXCLUSION_STAGE, ingest.EXCLUDED, "document id")
            return
        row = {**row, "licence": licence_of(row, self._finish.repositories)}
        if not is_permitted(row["licence"], self._finish.licences):
            self._drop(row, "licence", "licence", row["licence"])
            return
        if problem is not None:
            self._drop(row, "contamination", "evaluation-problem", problem)
            return
        identity = {name: row[name] for name in IDENTITY}
        assessed = document_rules.assess_after_duplicates(
            row["path"], row["text"], row["language"], self._finish.options
        )
        for finding in assessed.findings:
            self._personal_data.add({**identity, **_columns_of(finding)})
        if assessed.drop is not None:
            self._drop(row, assessed.drop.stage, assessed.drop.reason, assessed.drop.detail)
            return
        size = len(assessed.text.encode())
        kept = {**row, "text": assessed.text, "size_bytes": size, "num_redactions": assessed.num_redactions}
        kept["quality"] = assessed.quality
        self._documents.add(kept, size)
        self._report.keep(0, size)
        self._report.languages[row["language"]] += size

    def _drop(self, row: dict[str, Any], stage: str, reason: str, detail: str) -> None:
        described = {name: row[name] for name in (*IDENTITY, "language", "size_bytes")}
        self._drops.add({**described, "stage": stage, "reason": reason, "detail": detail})
        self._report.drop(reason, 0)


def write_clusters(batches: Iterator[pa.RecordBatch], staging: str) -> Iterator[pa.RecordBatch]:
    """Write the clusters, which come one after another with the kept member first, and the drops they mean."""
    report, folder, keeper = DocumentCounters(), Path(staging), ""
    with (
        writing.PartWriter(folder / reading.CLUSTERS / schemas.part_name(0), schemas.CLUSTERS) as clusters,
        writing.PartWriter(folder / reading.DROPS / "duplicates.parquet", schemas.DROPS) as drops,
    ):
        for batch in batches:
            for row in batch.to_pylist():
                clusters.add(row)
                if row["kept"]:
                    keeper = "/".join((row["source"], row["repository"], row["path"]))
                    continue
                reason = f"{row['kind'].lower()}-duplicate"
                likeness = "the same as" if row["kind"] == "Exact" else f"Jaccard {row['similarity']:.2f} to"
                why = {"stage": "duplicate", "reason": reason, "detail": f"{likeness} {keeper}"}
                drops.add({**{name: row[name] for name in (*IDENTITY, "language", "size_bytes")}, **why})
                report.drop(reason, 0)
    yield _reported(0, report)


def _reported(part: int, report: DocumentCounters) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [pa.array([part], pa.int64()), pa.array([pickle.dumps(report)], pa.binary())]
    return pa.RecordBatch.from_arrays(columns, names=["part", "report"])


def _columns_of(finding: Any) -> dict[str, Any]:
    digest = hashlib.sha256(finding.value.encode()).hexdigest()
    span = {"start": finding.start, "end": finding.end}
    return {"kind": finding.kind, "rule": finding.rule, **span, "value_sha256": digest}
