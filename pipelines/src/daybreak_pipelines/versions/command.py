"""The command ``daybreak diff``: finds the two versions, says what differs, writes the page, records it if asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import TransientError
from daybreak_pipelines.report import versions as page_of_diff
from daybreak_pipelines.versions.locate import documents_and_shards

KINDS = ("out", "in", "changed", "moved")


def diff_versions(before: str, after: str, page: Path, *, as_json: bool, tracking: str | None) -> int:
    """Print what differs, write the page, return the exit code.

    ``tracking`` is an MLflow server; empty: a local store beside the page.
    """
    from daybreak_data.versions.diff import diff
    from daybreak_data.versions.version import open_version

    told = diff(open_version(*documents_and_shards(before)), open_version(*documents_and_shards(after)))
    storage.write_bytes(str(page), page_of_diff.build(told).encode())
    recorded = "" if tracking is None else _record(told, page, tracking)
    if as_json:
        print(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        print(in_words(told, page) + (f"\nrecord: {recorded}" if recorded else ""))
    return 0


def in_words(told: Mapping[str, Any], page: Path) -> str:
    """Return what a terminal shows."""
    lines = [page_of_diff.sentence(told), *(f"note: {text}" for text in told["notes"])]
    for name, rows in told["by"].items():
        lines += [
            f"  {name} {row['value']}: {row['before']['documents']:,} -> {row['after']['documents']:,} "
            + ", ".join(f"{kind} {row[kind]['documents']:,}" for kind in KINDS)
            for row in rows
            if any(row[kind]["documents"] for kind in KINDS)
        ]
    lines += [
        f"  {said} {row['value']}: {row['documents']:,}"
        for said, side in (("out because", "out"), ("in, before", "in"))
        for row in told["reasons"][side]
    ]
    return "\n".join([*lines, f"page: {page}"])


def _record(told: Mapping[str, Any], page: Path, tracking: str) -> str:
    """Log the diff as a record of its own and return where it is."""
    from daybreak_data import mlflow_record

    folder = None if tracking else page.absolute().parent / mlflow_record.STORE
    uri = tracking or mlflow_record.local_uri(page.absolute().parent / mlflow_record.STORE)
    named = artifacts.digest_of([told["before"]["digest"], told["after"]["digest"]])
    record = mlflow_record.TrackedRecord(
        experiment="daybreak diff",
        name=f"diff-{named[:8]}",
        tags={"step": "diff"},
        parameters={
            f"{side}_{key}": value for side in ("before", "after") for key, value in told[side].items()
        },
        metrics={
            f"{kind}_{measure}": float(value)
            for kind, measures in told["total"].items()
            for measure, value in measures.items()
        },
        files=[str(page)],
    )
    reason = mlflow_record.write(uri, folder, record)
    if reason is not None:
        raise TransientError(f"MLflow at {uri} cannot be used ({reason}); the page {page} is written")
    return uri
