"""What the statistics add up to: the first lines of the page, and the numbers that a tracker keeps. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

UNREAD = ("too-large",)
"""Reasons of files that were never opened: they count as set aside, not as come in and dropped."""

Row = dict[str, Any]
Statistics = dict[str, list[Row]]
"""The rows of each table of statistics by its name."""


@dataclass(frozen=True)
class Totals:
    """What came in, what was dropped and what is kept, as the page's first lines and the metrics say it."""

    num_files: int
    """Files that were read; ``unread_files`` come on top."""
    num_bytes: int
    unread_files: int
    unread_bytes: int
    num_documents: int
    document_bytes: int
    num_languages: int
    num_sources: int
    num_repositories: int
    redactions: int
    redacted_files: int

    @property
    def dropped_files(self) -> int:
        """Files that came in and are not kept."""
        return self.num_files - self.num_documents

    @property
    def dropped_bytes(self) -> int:
        """Bytes of the files that are not kept."""
        return self.num_bytes - self.document_bytes


def totals_of(found: Statistics) -> Totals:
    """Return the totals of the statistics."""
    languages, sources, drops = found["languages"], found["sources"], read_drops(found)
    unread = [*found["unread"], *[row for row in found["drops"] if row["reason"] in UNREAD]]
    kept_bytes = sum(row["bytes"] for row in languages)
    kept = sum(row["files"] for row in languages)
    names = {row["source"] for row in sources} | {row["source"] for row in found["drops"]}
    return Totals(
        num_files=kept + sum(row["files"] for row in drops),
        num_bytes=kept_bytes + sum(row["bytes"] for row in drops),
        unread_files=sum(row["files"] for row in unread),
        unread_bytes=sum(row["bytes"] for row in unread),
        num_documents=kept,
        document_bytes=kept_bytes,
        num_languages=len(languages),
        num_sources=len(names),
        num_repositories=sum(row["repositories"] for row in sources),
        redactions=sum(row["redactions"] for row in languages),
        redacted_files=sum(row["redacted_files"] for row in languages),
    )


def read_drops(found: Statistics) -> list[Row]:
    """Return the drops of files that were read."""
    return [row for row in found["drops"] if row["reason"] not in UNREAD]


def metrics_of(found: Statistics) -> dict[str, float]:
    """Return the numbers that a tracker keeps: totals, and dropped files by reason."""
    totals = totals_of(found)
    metrics = {
        "num_files": totals.num_files + totals.unread_files,
        "read_files": totals.num_files,
        "read_bytes": totals.num_bytes,
        "num_documents": totals.num_documents,
        "document_bytes": totals.document_bytes,
        "kept_files_share": round(totals.num_documents / max(1, totals.num_files), 6),
        "kept_bytes_share": round(totals.document_bytes / max(1, totals.num_bytes), 6),
        "redactions": totals.redactions,
        "duplicate_clusters": sum(row["clusters"] for row in found["cluster_sizes"]),
    }
    for row in merged(found["drops"], ("stage", "reason")):
        metrics[f"dropped/{row['stage']}/{row['reason']}"] = row["files"]
    for row in found["unread"]:
        metrics[f"dropped/unread/{row['reason']}"] = row["files"]
    return {name: float(value) for name, value in metrics.items()}


def merged(rows: Sequence[Row], keys: tuple[str, ...]) -> list[Row]:
    """Return rows summed over all but these keys, those with most files first."""
    totals: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = tuple(row[name] for name in keys)
        total = totals.setdefault(key, {**dict(zip(keys, key, strict=True)), "files": 0, "bytes": 0})
        total["files"] += row["files"]
        total["bytes"] += row["bytes"]
    return sorted(totals.values(), key=lambda row: (-row["files"], *[row[name] for name in keys]))
