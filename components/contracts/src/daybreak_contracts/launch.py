"""How a launcher and the step it launched know of each other: files named by the environment, and one pid.

The launcher (``daybreak run``, a pod's ``job``) names a folder for results and a file for progress; the operator
names a ConfigMap (``result_reporter`` owns how it is reached). A step whose launcher is gone ends itself and all it
started: nothing is left running after a ``kill -9``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from daybreak_contracts import errors, storage
from daybreak_contracts.progress import Progress
from daybreak_contracts.result_reporter import ProgressPoster, StepResultReporter, reporter_from

PROGRESS_FILE = "DAYBREAK_PROGRESS_FILE"
RESULTS_FOLDER = "DAYBREAK_RESULTS_FOLDER"
LAUNCHER = "DAYBREAK_LAUNCHER"
"""``<pid>:<start time>`` of the launcher, as ``identity_of`` gives it."""

TERMINATION_LOG = Path("/dev/termination-log")
"""Kubernetes' default ``terminationMessagePath``."""
MAX_LAST_WORDS = 1000
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


@dataclass(frozen=True)
class Reply:
    """How a step answers its launcher: by file, by ConfigMap, by the pod's termination message; each where wanted."""

    step: str
    file: Path | None = None
    reporter: StepResultReporter | None = None
    termination_log: Path = TERMINATION_LOG

    def result(self, result: Mapping[str, Any]) -> None:
        """Leave a result. One that nobody can be told of is an error of the step."""
        if self.reporter is not None:
            try:
                self.reporter.result(self.step, result)
            except errors.DaybreakError as error:
                self._leave(error)
                raise
        if self.file is not None:
            storage.write_json(str(self.file), {"result": result})

    def error(self, error: BaseException) -> None:
        """Leave an error; never raises one of its own for want of an API server."""
        self._leave(error)
        if self.reporter is not None:
            self.reporter.error(self.step, error)

    def _leave(self, error: BaseException) -> None:
        if self.file is not None:
            errors.write(self.file, error)
        message = (str(error) or type(error).__name__).removeprefix(f"{self.step}: ")
        say_at_the_end(f"{self.step}: {message}", self.termination_log)


def reply_of(
    step: str, file: Path | None, environment: Mapping[str, str], results_configmap: str = ""
) -> Reply:
    """Return where a step answers; a wrong name is a UserError, left in the file."""
    try:
        return Reply(step, file, reporter_from(environment, results_configmap))
    except errors.UserError as error:
        Reply(step, file).error(error)
        raise


def say_at_the_end(text: str, log: Path = TERMINATION_LOG) -> None:
    """Write one line where Kubernetes takes a container's last words from, when there is such a place."""
    if not log.exists():
        return
    line = " ".join(text.split())[:MAX_LAST_WORDS]
    try:
        log.write_text(line)
    except OSError as error:  # another user's: the result file and the log tell the same
        print(f"{log}: {error.strerror}", file=sys.stderr)


def progress_of(
    step: str,
    environment: Mapping[str, str],
    listener: Callable[[Mapping[str, Any]], None] | None = None,
) -> Progress:
    """Return the progress reporter that the environment asks for."""
    file = environment.get(PROGRESS_FILE)
    return Progress(step, file=Path(file) if file else None, listener=listener)


@contextlib.contextmanager
def reporting(reply: Reply, environment: Mapping[str, str]) -> Iterator[Progress]:
    """Yield the step's progress reporter; an error inside is left for the launcher and rises."""
    poster = ProgressPoster(reply.reporter) if reply.reporter is not None else None
    try:
        yield progress_of(reply.step, environment, poster)
    except BaseException as error:
        reply.error(error)
        raise
    finally:
        if poster is not None:
            poster.close()


def run_in_pipeline(
    name: str, args_type: type[Any], run: Any, arguments: Mapping[str, Any], results_configmap: str = ""
) -> Any:
    """Run a step inside a pipeline component and return its Result.

    Result or error also go to ``$DAYBREAK_RESULTS_FOLDER/<name>.json`` and to the ConfigMap ``results_configmap``
    (or else ``$DAYBREAK_RESULTS_CONFIGMAP``), because a pipeline's launcher learns only that a task failed, not why.
    """
    environment = os.environ
    watch_launcher(environment)
    folder = environment.get(RESULTS_FOLDER)
    reply = reply_of(name, Path(folder) / f"{name}.json" if folder else None, environment, results_configmap)
    with reporting(reply, environment) as progress:
        try:
            args = args_type.model_validate(arguments)
        except ValidationError as error:
            raise errors.UserError(f"{name}: {error}") from error
        result = run(args, progress)
    reply.result(result.model_dump(mode="json"))
    return result
