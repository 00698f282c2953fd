"""The back end ``Job``: one pipeline, run by ``kfp.local`` in this pod, for clusters without Kubeflow.

Starts the same child as ``daybreak run`` and watches it; the steps report their results themselves. Says what a
step that was killed can't say any more. Nothing but ``work_dir`` must be writable, and no HOME is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from daybreak_contracts import errors, launch, names
from daybreak_contracts.errors import UserError
from daybreak_contracts.result_reporter import reporter_from
from daybreak_pipelines import estimate, plan
from daybreak_pipelines.kubeflow import packages
from daybreak_pipelines.local import processes

POLL_S = 0.5
LINE_INTERVAL_S = 60.0
GRACE_S = 5.0
"""Steps of a pipeline have nothing to save when they are stopped: the next try finds what is committed."""
USER = "daybreak"


class StoppedError(Exception):
    """The pod is asked to end."""


def run_job(pipeline: str, parameters: Path, environment: Mapping[str, str], stream: TextIO) -> int:
    """Run a pipeline and return the exit code: 0, or the failing step's, or 75 when the pod was stopped.

    An error that no step could report is reported for the step that was due.
    """
    with _stoppable():
        try:
            return _job(pipeline, parameters, environment, stream).run(environment)
        except StoppedError:
            stream.write(f"{pipeline}: stopped; a new pod goes on where this one stopped\n")
            return errors.EXIT_TRANSIENT


def _job(pipeline: str, parameters: Path, environment: Mapping[str, str], stream: TextIO) -> PipelineJob:
    try:
        values = _read(pipeline, parameters)
        work = Path(values.get("work_dir") or names.WORK_DIR).absolute()
        folders = _fresh_folders(work, environment.get(names.ENV_POD_NAME, ""))
    except UserError as error:
        _told(Failure(plan.PIPELINE_STEPS[pipeline][0], error), environment)
        raise
    return PipelineJob(pipeline, parameters, folders, stream)


def _read(pipeline: str, file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{file}: not found") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: is no JSON file: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{file}: must hold an object, holds {type(values).__name__}")
    packages.check_parameters(pipeline, values)
    return values


@dataclass(frozen=True)
class Failure:
    """Which step failed, and how."""

    step: str
    error: Exception


@dataclass(frozen=True)
class Folders:
    """Where a job keeps what only it needs; all below ``work_dir``."""

    root: Path

    @property
    def results(self) -> Path:
        """Where steps leave results."""
        return self.root / "results"

    @property
    def progress(self) -> Path:
        """Where the running step says how far it is."""
        return self.root / "progress.json"

    @property
    def kfp(self) -> Path:
        """kfp's own artifacts."""
        return self.root / "kfp"

    @property
    def home(self) -> Path:
        """HOME of the steps."""
        return self.root / "home"

    @property
    def temporary(self) -> Path:
        """TMPDIR of the steps."""
        return self.root / "tmp"


def _fresh_folders(work: Path, pod: str) -> Folders:
    """Make the folders anew; pods that share a volume with their executors share it with each other, too."""
    folder = work / (f"job-{pod}" if pod else "job")
    found = Folders(folder)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        for path in (found.results, found.kfp, found.home, found.temporary):
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"work_dir {work}: cannot be written ({error.strerror}), mount a volume there"
        ) from error
    return found


def environment_in(folders: Folders, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a user without a name or a home, on a read-only root file system.

    HOME, TMPDIR and the caches that hang on them lie below ``work_dir``; Java, torch and Hadoop ask for a user's name.
    """
    named = {"USER": USER, "LOGNAME": USER, "HADOOP_USER_NAME": USER}
    places = {"HOME": str(folders.home), "TMPDIR": str(folders.temporary)}
    base = {**named, **environment, **places, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    return processes.environment_for(
        base, launcher_pid=os.getpid(), results=folders.results, progress=folders.progress
    )


@dataclass
class PipelineJob:
    """One pipeline under way."""

    pipeline: str
    parameters: Path
    folders: Folders
    stream: TextIO
    clock: Callable[[], float] = time.monotonic
    ended: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._began = self._told_s = self.clock()

    def run(self, environment: Mapping[str, str]) -> int:
        """Run to the end and return the exit code; what only this pod needed goes with it."""
        try:
            return self._run(environment)
        finally:
            shutil.rmtree(self.folders.root, ignore_errors=True)  # the volume may outlive the pod

    def _run(self, environment: Mapping[str, str]) -> int:
        mine = environment_in(self.folders, environment)
        command = [sys.executable, "-m", "daybreak_pipelines.local.pipeline", self.pipeline]
        child = processes.start([*command, str(self.parameters), str(self.folders.kfp)], mine, None)
        try:
            while child.poll() is None:
                self._look()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(POLL_S)
        finally:
            processes.stop(child, mine[launch.LAUNCHER], GRACE_S)
        self._look()
        return self._exit_code(child.returncode, environment)

    def _exit_code(self, code: int, environment: Mapping[str, str]) -> int:
        documents = {step: self._document(step) for step in plan.PIPELINE_STEPS[self.pipeline]}
        for document in documents.values():
            if document is not None and "error" in document:
                self._say(str(document["error"]["message"]))
                return int(document["error"]["exitCode"])
        waiting = [step for step, document in documents.items() if document is None]
        if not waiting:
            return errors.EXIT_OK
        last = str(self._progress().get("step", ""))  # kfp chooses the order of steps that do not wait
        silent = _silent(last if last in waiting else waiting[0], code)
        _told(silent, environment)
        self._say(str(silent.error))
        return errors.exit_code_of(silent.error)

    def _document(self, step: str) -> dict[str, Any] | None:
        try:
            document: dict[str, Any] = json.loads((self.folders.results / f"{step}.json").read_text())
        except FileNotFoundError:
            return None
        return document

    def _look(self) -> None:
        """Say which steps ended since the last look, and once a minute what goes on."""
        for step in plan.PIPELINE_STEPS[self.pipeline]:
            document = self._document(step) if step not in self.ended else None
            if document is not None and "result" in document:
                self.ended.add(step)
                how = "nothing changed" if document["result"].get("cached") else "done"
                self._say(f"{step}: {how}")
        if self.clock() - self._told_s >= LINE_INTERVAL_S:
            self._say(self._activity())

    def _activity(self) -> str:
        state = self._progress()
        if not state:
            return "starting"
        share = f" {100 * state['done'] / state['total']:.0f} %" if state.get("total") else ""
        return f"{state['step']}: {state['activity']}{share}"

    def _progress(self) -> dict[str, Any]:
        try:
            state = json.loads(self.folders.progress.read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _say(self, text: str) -> None:
        self._told_s = self.clock()
        self.stream.write(f"[{estimate.in_words(self._told_s - self._began)}] {text}\n")
        self.stream.flush()


def _silent(step: str, code: int) -> Failure:
    """Return the error of a step that left none: most often the kernel killed it for want of memory."""
    if code == 0:
        text = f"{step}: the pipeline ended well but left no result of this step"
        return Failure(step, RuntimeError(text))
    text = (
        f"{step}: ended without a result (exit code {code}): killed, most likely for want of memory; "
        "give the pod more, or fewer cores to the run. The pod's log has its last lines"
    )
    return Failure(step, RuntimeError(text))


def _told(failure: Failure, environment: Mapping[str, str]) -> None:
    """Report an error for a step, where somebody waits for it."""
    try:
        reporter = reporter_from(environment)
    except UserError as wrong:
        launch.say_at_the_end(f"{failure.error}; besides: {wrong}")
        return
    launch.Reply(failure.step, reporter=reporter).error(failure.error)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Turn SIGTERM into ``StoppedError``; a pod's first process would otherwise never hear it."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise StoppedError(signal.Signals(number).name)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
