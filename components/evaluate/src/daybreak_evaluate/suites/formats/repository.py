"""Rows that ``daybreak tasks`` wrote: functions of a user's own repository, whose snapshot lies beside."""

from __future__ import annotations

import json

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.problems.reading import ProblemRow
from daybreak_evaluate.runtimes.in_repository import GO_LANGUAGE, JAVASCRIPT_LANGUAGE, LANGUAGE
from daybreak_evaluate.task import Task


def task_of(row: ProblemRow, language: str | None = None) -> Task:
    """Return the task of a row; its test says which tests of the repository must pass."""
    tests = row.texts("tests")
    if not tests:
        raise UserError(f"{row.place}: tests must name at least one test of the repository")
    folder = row.place.rpartition(", ")[0].rpartition("/")[0]
    wanted = {
        "snapshot": storage.join(folder, row.text("snapshot")) if folder else row.text("snapshot"),
        "sha256": row.text("snapshot_sha256"),
        "path": row.text("path"),
        "tests": list(tests),
    }
    kind = row.optional_text("language") or LANGUAGE
    if kind not in (LANGUAGE, GO_LANGUAGE, JAVASCRIPT_LANGUAGE):
        raise UserError(
            f"{row.place}: language must be {LANGUAGE}, {GO_LANGUAGE} or {JAVASCRIPT_LANGUAGE}, got {kind}"
        )
    if kind == GO_LANGUAGE:
        wanted |= {"package": row.text("package"), "again": row.text("again")}
    if kind == JAVASCRIPT_LANGUAGE:
        wanted |= {"files": list(row.texts("files"))}
    return Task(
        task_id=row.text("task_id"),
        language=kind,
        prompt=row.text("prompt"),
        suffix=row.text("suffix"),
        test=json.dumps(wanted),
        canonical=row.text("canonical_solution"),
    )
