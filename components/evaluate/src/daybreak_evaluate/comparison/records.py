"""Judged answers on disk, for a comparison: a result file of ``--samples``, or the folder of an evaluation.

Owns finding, reading and what is measured of them. A record is a JSON object with ``task_id`` and ``passed``.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError

SAMPLES = "samples"
ENDING = ".jsonl"
Record = Mapping[str, Any]
Suites = Mapping[str, Sequence[Record]]
"""Suite to its records."""


def read(location: str) -> Suites:
    """Return what a result file holds (suite ``samples``), or an evaluation's folder."""
    if location.endswith(ENDING):
        return {SAMPLES: _records(location)}
    folder = storage.join(location, SAMPLES)
    files = sorted(file for file in storage.list_files(folder) if file.endswith(ENDING))
    if not files:
        raise UserError(
            f"{location}: no evaluation here ({SAMPLES}/*{ENDING}); name a result file of `daybreak evaluate "
            "--samples`, the folder of an evaluation, or a finished run"
        )
    return {file.removesuffix(ENDING): _records(storage.join(folder, file)) for file in files}


def paired(a: Suites, b: Suites) -> list[tuple[str, Sequence[Record], Sequence[Record]]]:
    """Return suite and records of both; a result file, whose suite has no name, is held against what has its tasks."""
    if set(a) == {SAMPLES} != set(b):
        return [(suite, theirs, ours) for suite, ours, theirs in paired(b, a)]
    if set(b) == {SAMPLES} != set(a):
        tasks = {record["task_id"] for record in b[SAMPLES]}
        suite = max(a, key=lambda name: sum(record["task_id"] in tasks for record in a[name]))
        return [(suite, a[suite], b[SAMPLES])]
    return [(suite, a[suite], b[suite]) for suite in a if suite in b]


def measures(suite: str, records: Sequence[Record]) -> dict[str, dict[str, list[float]]]:
    """Return metric to task to what its samples scored: pass@1, also by language, or match and similarity by kind."""
    languages = {record["language"] for record in records if "language" in record}
    found: dict[str, dict[str, list[float]]] = {}
    for record in records:
        if "similarity" in record:
            scored = {
                f"{suite}/{record['kind']}-exact": float(record["passed"]),
                f"{suite}/{record['kind']}-similarity": float(record["similarity"]),
            }
        else:
            scored = {f"{suite}/pass@1": float(record["passed"])}
            if len(languages) > 1:
                scored[f"{suite}/{record['language']}/pass@1"] = float(record["passed"])
        for metric, value in scored.items():
            found.setdefault(metric, {}).setdefault(record["task_id"], []).append(value)
    return found


def text_of(record: Record) -> str:
    """Return what a model answered."""
    return str(record.get("sanitized") or record.get("completion") or record.get("solution") or "")


def _records(location: str) -> list[Record]:
    if not storage.exists(location):
        raise UserError(f"{location}: not found")
    records: list[Record] = []
    for number, line in enumerate(storage.read_bytes(location).splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UserError(f"{location}, line {number}: not JSON ({error})") from error
        if (
            not isinstance(record, dict)
            or not isinstance(record.get("passed"), bool)
            or "task_id" not in record
        ):
            raise UserError(
                f"{location}, line {number}: has no verdict (task_id, passed); judge the samples first: "
                f"daybreak evaluate --samples {shlex.quote(location)}"
            )
        records.append(record)
    if not records:
        raise UserError(f"{location}: no result in it")
    return records
