"""A training pod: ``python -m daybreak_train.pod --args-file FILE``. Starts torchrun and reports what comes of it.

Owns what a pod adds to a training: the way of result and error to the operator, ``GET /progress``, the last words.
Imports nothing heavy; the trainer is another process and knows of none of this.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import ValidationError

from daybreak_contracts import errors, launch, names
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.result_reporter import (
    RESULTS_CONFIGMAP,
    ProgressPoster,
    StepResultReporter,
    reporter_from,
)
from daybreak_contracts.steps import TrainArgs
from daybreak_train import faults
from daybreak_train.pod import environment, progress_server
from daybreak_train.pod import launch as torchrun
from daybreak_train.pod.metrics_file import METRICS_FILE
from daybreak_train.pod.progress_relay import Relay

USER = "daybreak"
FIRST_WORD_S = 15.0
"""How long the other nodes leave the first word about a failure to rank 0's."""
Command = Callable[[Path, Path, int, Mapping[str, str]], list[str]]


@dataclass(frozen=True)
class TrainerPod:
    """One node of a training."""

    node_rank: int
    args: TrainArgs
    args_file: Path
    folder: Path
    """For what only this process and its trainer share; below ``work_dir``."""
    reporter: StepResultReporter | None

    @property
    def result(self) -> Path:
        """Where torchrun's processes leave result or error."""
        return self.folder / "result.json"

    @property
    def progress(self) -> Path:
        """Where rank 0 says how far it is."""
        return self.folder / "progress.json"

    @property
    def metrics(self) -> Path:
        """Where rank 0 leaves its metrics."""
        return self.folder / "metrics.json"

    @property
    def is_first(self) -> bool:
        """Whether rank 0 runs here."""
        return self.node_rank == 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the pod to its end and return the step's exit code."""
    parser = argparse.ArgumentParser(description="Train as one pod of a job.")
    parser.add_argument("--args-file", required=True, type=Path, help="the train step's arguments as JSON")
    options = parser.parse_args(argv)
    signal.signal(
        signal.SIGTERM, _leave
    )  # a container's first process hears no signal that it does not catch
    try:
        return run_pod(options.args_file, os.environ, torchrun.command_for)
    except errors.DaybreakError as error:
        print(f"train: {error}", file=sys.stderr)
        launch.say_at_the_end(f"train: {error}")
        return error.exit_code


def run_pod(
    args_file: Path,
    environ: Mapping[str, str],
    command_for: Command,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Train with ``command_for``'s command and report what comes of it; return the step's exit code."""
    pod = _pod(args_file, environ)
    mine = _environment(pod, environ)
    command = command_for(args_file, pod.result, torchrun.processes_for(pod.args, environ), mine)
    if pod.is_first:
        poster = ProgressPoster(pod.reporter) if pod.reporter is not None else None
        source = progress_server.ProgressSource(pod.metrics, attempt_of(environ))
        with progress_server.serving(source, environ), Relay(pod.progress, sys.stderr, poster):
            code = torchrun.run(command, pod.result, mine)
    else:
        code = torchrun.run(command, pod.result, mine)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is left takes a moment, and must not be lost
    return _conclude(pod, code, sleep)


def attempt_of(environ: Mapping[str, str]) -> int:
    """Return the attempt, which the ConfigMap's name ends with; 0 where nobody says."""
    last = environ.get(RESULTS_CONFIGMAP, "").rpartition("-")[2]
    return int(last) if last.isdecimal() else 0


def _pod(args_file: Path, environ: Mapping[str, str]) -> TrainerPod:
    reporter = reporter_from(environ)
    try:
        placement = environment.pod_from(environ)
        args = _read(args_file)
        folder = Path(args.work_dir).absolute() / "pod"
        _fresh(folder)
    except UserError as error:
        if reporter is not None:
            reporter.error(names.STEP_TRAIN, error)
        raise
    return TrainerPod(placement.node_rank if placement is not None else 0, args, args_file, folder, reporter)


def _read(file: Path) -> TrainArgs:
    try:
        return TrainArgs.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}") from error
    except ValidationError as error:
        raise UserError(f"{file}: {error}") from error


def _fresh(folder: Path) -> None:
    try:
        (folder / "home").mkdir(parents=True, exist_ok=True)
        for name in ("progress.json", "metrics.json"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(
            f"work_dir {folder.parent}: cannot be written ({error.strerror}), mount a volume there"
        ) from error


def _environment(pod: TrainerPod, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the trainer's environment: it knows nothing of the operator, and has a home and a user's name."""
    mine = {"USER": USER, "LOGNAME": USER, "HOME": str(pod.folder / "home"), **environ}
    mine.pop(RESULTS_CONFIGMAP, None)
    if pod.is_first:
        mine |= {launch.PROGRESS_FILE: str(pod.progress), METRICS_FILE: str(pod.metrics)}
    return mine


def _conclude(pod: TrainerPod, code: int, sleep: Callable[[float], None]) -> int:
    document = _document(pod, code)
    if "result" in document:
        if pod.is_first and pod.reporter is not None:
            pod.reporter.result(names.STEP_TRAIN, document["result"])
        return errors.EXIT_OK
    failure = document["error"]
    launch.say_at_the_end(f"train: {failure['message']}")
    if pod.reporter is not None:
        if not pod.is_first:
            sleep(FIRST_WORD_S)
        _report_failure(pod.reporter, failure)
    return int(failure["exitCode"])


def _document(pod: TrainerPod, code: int) -> dict[str, Any]:
    if pod.result.exists():
        found: dict[str, Any] = json.loads(pod.result.read_text())
        return found
    if code == errors.EXIT_OK:  # no rank of this node writes a result but rank 0
        return {"result": {}}
    words = (
        f"training ended on node {pod.node_rank} with exit code {code} and said nothing, see the pod's log"
    )
    return {"error": errors.document_of(RuntimeError(words))}


def _report_failure(reporter: StepResultReporter, failure: Mapping[str, Any]) -> None:
    """Report an error unless one that explains more is there: one node's error makes the others fail anyhow."""
    try:
        held = reporter.held(names.STEP_TRAIN)
    except errors.DaybreakError as error:
        print(f"train: {error}", file=sys.stderr)
        return
    if held is not None and ("result" in held or faults.order_of(held["error"]) <= faults.order_of(failure)):
        return
    reporter.failure(names.STEP_TRAIN, failure)


def _leave(number: int, frame: FrameType | None) -> None:
    raise TransientError(f"asked to stop by {signal.Signals(number).name} before training began")


if __name__ == "__main__":
    sys.exit(main())
