"""``make corpus-check CORPUS=DIR``: the documents step over any folder of repositories, and samples of it to read.

Every folder directly below DIR is one repository. Prints what was dropped by reason and by language, then 200 dropped
and 200 kept files with the place that decided. The counts that a person makes of them belong into docs/benchmarks.md
with the commits of the repositories; the corpus itself is never committed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from daybreak_contracts import artifacts
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.run import Data
from daybreak_contracts.steps import DocumentsArgs, DocumentsResult
from daybreak_data.documents.step import run_documents
from daybreak_data.tables import reading, schemas
from tests.corpus.excerpts import difference, excerpt
from tests.corpus.samples import Row, kept_for, sample

NOT_TO_JUDGE = (
    "binary",
    "empty",
    "exact-duplicate",
    "other-language",
    "special-file",
    "symbolic-link",
    "too-large",
)
"""Reasons that are facts, not judgements: counted, not read."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step, print tables and samples; 0 when the step did its work."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument(
        "--output", type=Path, help="where artifacts go and stay (default: a temporary folder)"
    )
    parser.add_argument("--languages", nargs="+", metavar="NAME", help="default: the manifest's default")
    parser.add_argument("--samples", type=int, default=200, help="dropped and kept files to show, of each")
    parser.add_argument("--reason", help="show dropped files of this reason only")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="corpus-check-") as scratch:
        output = options.output or Path(scratch)
        began = time.monotonic()
        result = _documents(options.corpus, output, options.languages)
        _print_tables(result, time.monotonic() - began)
        _print_samples(options, result)
    return 0


def _documents(corpus: Path, output: Path, languages: list[str] | None) -> DocumentsResult:
    wanted = {"languages": languages} if languages else {}
    data = Data.model_validate(
        {"sources": [{"name": "corpus", "directory": {"path": str(corpus)}}], **wanted}
    )
    args = DocumentsArgs(output=str(output), work_dir=str(output / ".work"), data=data)
    return run_documents(args, Progress("documents", stream=sys.stderr))


def _rows(result: DocumentsResult, table: str, columns: list[str]) -> list[dict[str, Any]]:
    files = reading.files_of(result.uri, artifacts.load(result.uri), table)
    return [row for batch in reading.scan(files, columns) for row in batch.to_pylist()]


def _print_tables(result: DocumentsResult, seconds: float) -> None:
    console = Console(width=120)
    console.print(
        f"{result.num_files:,} files, {result.num_bytes / 1e6:,.0f} MB in {seconds:.0f} s: "
        f"{result.num_documents:,} documents, {result.document_bytes / 1e6:,.0f} MB"
    )
    drops = _rows(result, reading.DROPS, ["reason", "language"])
    kept = Counter(row["language"] for row in _rows(result, reading.DOCUMENTS, ["language"]))
    lost = Counter(row["language"] for row in drops if row["reason"] not in NOT_TO_JUDGE)
    by_reason = Table("reason", "files", "mostly", title="Dropped")
    for reason, count in Counter(row["reason"] for row in drops).most_common():
        languages = Counter(row["language"] or "?" for row in drops if row["reason"] == reason)
        mostly = ", ".join(f"{name} {number:,}" for name, number in languages.most_common(4))
        by_reason.add_row(reason, f"{count:,}", mostly)
    by_language = Table("language", "kept", "dropped by judgement", "share", title="By language")
    for language in sorted(kept | lost, key=lambda name: -(kept[name] + lost[name])):
        share = lost[language] / (kept[language] + lost[language])
        by_language.add_row(language or "?", f"{kept[language]:,}", f"{lost[language]:,}", f"{share:.1%}")
    console.print(by_reason, by_language)


def _print_samples(options: argparse.Namespace, result: DocumentsResult) -> None:
    drops = [
        row for row in _rows(result, reading.DROPS, [*schemas.DROPS]) if row["reason"] not in NOT_TO_JUDGE
    ]
    if options.reason:
        drops = [row for row in drops if row["reason"] == options.reason]
    kept = kept_for(_rows(result, reading.CLUSTERS, [*schemas.CLUSTERS]))
    for number, row in enumerate(sample(drops, ("reason", "language"), options.samples, options.seed), 1):
        said = f"{row['reason']}: {row['detail']}" if row["detail"] else row["reason"]
        print(f"\n--- dropped {number}: {row['repository']}/{row['path']} [{row['language']}] {said}")
        text = _text(options.corpus, row)
        other = kept.get(row["path_id"])
        if other is None:
            print(excerpt(text, row["detail"]))
        else:
            print(f"       kept: {other['repository']}/{other['path']}, similarity {other['similarity']:.2f}")
            print(difference(_text(options.corpus, other), text))
    if options.reason:
        return
    columns = ["repository", "path", "language", "encoding"]
    documents = _rows(result, reading.DOCUMENTS, columns)
    for number, row in enumerate(sample(documents, ("language",), options.samples, options.seed), 1):
        print(
            f"\n--- kept {number}: {row['repository']}/{row['path']} [{row['language']}, {row['encoding']}]"
        )
        print(excerpt(_text(options.corpus, row), ""))


def _text(corpus: Path, row: Row) -> str:
    """Return a file as its bytes say, in UTF-8: what cannot be read so is seen as such."""
    for place in (corpus / row["repository"] / row["path"], corpus / row["path"]):
        if place.is_file():
            return place.read_bytes()[: 1 << 20].decode("utf-8", errors="replace")
    return "(not a file by this name)"


if __name__ == "__main__":
    sys.exit(main())
