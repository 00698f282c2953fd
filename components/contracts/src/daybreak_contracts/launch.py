"""How a launcher and the step it launched know of each other: files named by the environment, and one pid.

The launcher (``daybreak run``, later the operator's Job) names a folder for results and a file for progress.
A step whose launcher is gone ends itself and all it started: nothing is left running after a ``kill -9``.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from daybreak_contracts import errors, storage
from daybreak_contracts.progress import Progress

PROGRESS_FILE = "DAYBREAK_PROGRESS_FILE"
RESULTS_FOLDER = "DAYBREAK_RESULTS_FOLDER"
LAUNCHER = "DAYBREAK_LAUNCHER"
"""``<pid>:<start time>`` of the launcher, as ``identity_of`` gives it."""

WATCH_INTERVAL_S = 1.0


def identity_of(pid: int) -> str | None:
    """Return ``<pid>:<start time>`` of a live process (Linux), or None. Pids are re-used, this is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # proc(5): the name in brackets may hold anything
    if fields[0] in ("Z", "X"):
        return None
    return f"{pid}:{fields[19]}"


def watch_launcher(environment: Mapping[str, str]) -> None:
    """Start a thread that kills this process group when the launcher named in the environment is gone."""
    launcher = environment.get(LAUNCHER)
    if not launcher:
        return
    pid = int(launcher.partition(":")[0])

    def watch() -> None:
        pause = threading.Event()
        while identity_of(pid) == launcher:
            pause.wait(WATCH_INTERVAL_S)
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, name="launcher-watch", daemon=True).start()


def progress_of(step: str, environment: Mapping[str, str]) -> Progress:
    """Return the progress reporter that the environment asks for."""
    file = environment.get(PROGRESS_FILE)
    return Progress(step, file=Path(file) if file else None)


def run_in_pipeline(name: str, args_type: type[Any], run: Any, arguments: Mapping[str, Any]) -> Any:
    """Run a step inside a pipeline component and return its Result.

    Result or error also go to ``$DAYBREAK_RESULTS_FOLDER/<name>.json``, because a pipeline's launcher learns
    only that a task failed, not why.
    """
    environment = os.environ
    watch_launcher(environment)
    folder = environment.get(RESULTS_FOLDER)
    file = Path(folder) / f"{name}.json" if folder else None
    try:
        try:
            args = args_type.model_validate(arguments)
        except ValidationError as error:
            raise errors.UserError(f"{name}: {error}") from error
        result = run(args, progress_of(name, environment))
    except BaseException as error:
        if file is not None:
            errors.write(file, error)
        raise
    if file is not None:
        storage.write_json(str(file), {"result": result.model_dump(mode="json")})
    return result
