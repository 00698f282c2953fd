"""``daybreak tasks``: a repository to a file of problems, and its snapshot beside it.

Owns the two files and what is printed: the manifest's entry, ready to be pasted.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from daybreak_contracts.errors import UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.storage import write_bytes
from daybreak_evaluate.runtimes.in_repository import GO_LANGUAGE, JAVASCRIPT_LANGUAGE, snapshot
from daybreak_evaluate.runtimes.in_repository.find_go_tasks import GoTask, find_go_tasks
from daybreak_evaluate.runtimes.in_repository.find_js_tasks import JavaScriptTask, find_js_tasks
from daybreak_evaluate.runtimes.in_repository.find_tasks import RepositoryTask, find_tasks
from daybreak_evaluate.runtimes.in_repository.losses import Losses

AnyTask = RepositoryTask | GoTask | JavaScriptTask
PYTHON_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


def write_tasks(folder: Path, output: Path, limit: int, progress: Progress) -> str:
    """Find tasks, write both files; return what to put into a manifest."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no folder, give the repository's")
    if output.suffix != ".jsonl":
        raise UserError(f"{output}: must end in .jsonl")
    is_go = (folder / "go.mod").is_file()
    is_python = any((folder / name).is_file() for name in PYTHON_FILES)
    is_javascript = not is_go and not is_python and (folder / "package.json").is_file()
    packed = snapshot.pack(folder, with_modules=is_javascript)
    workers = max(1, len(os.sched_getaffinity(0)))
    tasks: Sequence[AnyTask]
    losses = Losses()
    if is_go:
        tasks = find_go_tasks(packed, limit, workers, progress.report, losses)
    elif is_javascript:
        tasks = find_js_tasks(packed, limit, workers, progress.report, losses)
    else:
        tasks = find_tasks(folder, packed, limit, workers, progress.report, losses=losses)
    if not tasks:
        raise UserError(
            f"{folder}: no function whose body its tests miss; more tests, or another folder, would help"
            + (f" ({losses.said()})" if losses.said() else "")
        )
    beside = output.with_suffix(".tar.gz")
    digest = hashlib.sha256(packed).hexdigest()
    rows = "".join(json.dumps(_row(task, beside.name, digest)) + "\n" for task in tasks).encode()
    write_bytes(str(beside), packed)
    write_bytes(str(output), rows)
    files = len({task.path for task in tasks})
    return (
        f"{len(tasks)} functions of {files} file{'s' if files > 1 else ''}: {output}, and their repository: {beside}\n"
        + (f"{losses.said()}\n" if losses.said() else "")
        + f"- name: {_name(output.stem)}\n  problems: {{uri: {output.resolve()}, "
        f"sha256: {hashlib.sha256(rows).hexdigest()}, format: Repository}}"
    )


def _name(stem: str) -> str:
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in stem.lower()).split()) or "own"


def _row(task: AnyTask, beside: str, digest: str) -> dict[str, object]:
    function = task if isinstance(task, GoTask) else task.function
    row: dict[str, object] = {
        "task_id": f"{task.path}:{function.first_line}:{function.name}",
        "path": task.path,
        "prompt": function.before,
        "suffix": function.behind,
        "canonical_solution": function.body,
        "tests": list(task.tests),
        "snapshot": beside,
        "snapshot_sha256": digest,
    }
    if isinstance(task, GoTask):
        row |= {"language": GO_LANGUAGE, "package": task.package, "again": task.again}
    if isinstance(task, JavaScriptTask):
        row |= {"language": JAVASCRIPT_LANGUAGE, "files": list(task.files)}
    return row
