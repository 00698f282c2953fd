"""``daybreak run``: the whole way on one machine. Starts the stages as children, watches them, stops them.

What is done and what is not is told by the artifacts alone: a run that was killed goes on where it stopped
because each step finds its own work.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daybreak_contracts import arguments, launch, names, steps, storage
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.errors import read as error_from
from daybreak_contracts.names import DATA_PIPELINE, MODEL_PIPELINE
from daybreak_contracts.resources import TrainingRun
from daybreak_pipelines import estimate, plan
from daybreak_pipelines.local import processes
from daybreak_pipelines.local.display import Display, RunState

POLL_S = 0.2
MEMORY_POLL_S = 1.0


@dataclass
class Runner:
    """One run of one manifest. ``results``, ``seconds`` and ``peak_bytes`` fill up as steps end."""

    run: TrainingRun
    settings: arguments.RunSettings
    display: Display
    environment: Mapping[str, str]
    wanted: tuple[str, ...] = plan.STEPS
    """What the whole way is: of a run that makes data alone, its data steps."""
    clock: Callable[[], float] = time.monotonic
    results: dict[str, steps.StepResult] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    """Most memory of all the step's processes together, looked at once a second."""

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._step_began = self._began
        self._memory_seen = float("-inf")
        self._current = ""
        self._work = Path(self.settings.work_dir)
        self._results_folder = self._work / "results"
        self._progress_file = self._work / "progress.json"
        self._timings_file = self._work / "timings.json"
        deadline = self.run.spec.training.deadline_seconds
        known = {names.STEP_TRAIN: deadline + estimate.BESIDES_DEADLINE_S} if deadline else {}
        self._by_the_clock = frozenset(known)
        self._expected = estimate.expected_seconds(self.wanted, self._read_timings(), known)

    def make_model(self) -> None:
        """Run every step up to the scores; ``results`` then holds each step's Result."""
        self.make_data()
        self._train()
        self._pipeline(MODEL_PIPELINE, arguments.model_parameters(self.run, self.settings, self.results))

    def make_data(self) -> None:
        """Run every step up to the shards."""
        shutil.rmtree(self._results_folder, ignore_errors=True)
        self._results_folder.mkdir(parents=True)
        self._pipeline(DATA_PIPELINE, arguments.data_parameters(self.run, self.settings))

    @contextlib.contextmanager
    def step(self, name: str, activity: str) -> Iterator[None]:
        """Show a step that runs in this process."""
        self._step_began = self.clock()
        self._show(name, activity, 0.0)
        yield
        self._ended(name, self.clock() - self._step_began)
        self._show(None, "", 0.0)

    def close(self) -> None:
        """Remember what the steps took, for the next estimate, and stop showing."""
        self.display.close()
        fresh = {name: round(value, 1) for name, value in self.seconds.items() if not self._cached(name)}
        storage.write_json(str(self._timings_file), {**self._read_timings(), **fresh})

    def _pipeline(self, name: str, parameters: dict[str, Any]) -> None:
        file = self._work / f"{name}.json"
        storage.write_json(str(file), parameters)
        root = self._work / "kfp"
        shutil.rmtree(root, ignore_errors=True)
        command = [sys.executable, "-m", "daybreak_pipelines.local.pipeline", name, str(file), str(root)]
        self._child(name, command, plan.PIPELINE_STEPS[name])

    def _train(self) -> None:
        args = arguments.train_args(self.run, self.settings, self.results)
        file = self._work / "train-args.json"
        storage.write_json(str(file), args.model_dump(mode="json"))
        result = self._results_folder / f"{names.STEP_TRAIN}.json"
        command = [sys.executable, "-m", "daybreak_train", "train"]
        command += ["--args-file", str(file), "--result", str(result)]
        self._child(names.STEP_TRAIN, command, (names.STEP_TRAIN,))

    def _child(self, stage: str, command: list[str], stage_steps: tuple[str, ...]) -> None:
        """Run one stage to its end, or stop it and all it started."""
        self._progress_file.unlink(missing_ok=True)
        environment = processes.environment_for(
            self.environment,
            launcher_pid=os.getpid(),
            results=self._results_folder,
            progress=self._progress_file,
        )
        log = self._work / "logs" / f"{stage}.log"
        child = processes.start(command, environment, log)
        self._step_began = self.clock()
        try:
            while child.poll() is None:
                self._look(stage_steps)
                self._weigh(stage_steps, environment[launch.LAUNCHER])
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(POLL_S)
        finally:
            processes.stop(child, environment[launch.LAUNCHER])
        self._look(stage_steps)
        missing = [step for step in stage_steps if step not in self.results]
        if missing:
            raise ended_without_result(missing[0], child.returncode, log)

    def _look(self, stage_steps: tuple[str, ...]) -> None:
        """Take in what the stage wrote since the last look, and show it."""
        for step in stage_steps:
            file = self._results_folder / f"{step}.json"
            if step not in self.results and file.exists():
                document = storage.read_json(str(file))
                if "error" in document:
                    raise error_of(step, document["error"])
                self.results[step] = steps.RESULT_TYPES[step].model_validate(document["result"])
                now = self.clock()
                self._ended(step, now - self._step_began)
                self._step_began = now
        waiting = [step for step in stage_steps if step not in self.results]
        if not waiting:
            self._show(None, "", 0.0)
            return
        state = self._read_progress()
        if state.get("step") not in waiting:  # between two steps
            self._show(waiting[0], "", 0.0)
            return
        share = state["done"] / state["total"] if state.get("total") else 0.0
        self._current = str(state["step"])  # kfp chooses the order of steps that do not wait for each other
        self._show(self._current, str(state.get("activity", "")), min(1.0, share))

    def _weigh(self, stage_steps: tuple[str, ...], identity: str) -> None:
        """Note the memory of the step that is under way."""
        now = self.clock()
        waiting = [step for step in stage_steps if step not in self.results]
        if waiting and now - self._memory_seen >= MEMORY_POLL_S:
            self._memory_seen = now
            step = self._current if self._current in waiting else waiting[0]
            seen = processes.memory_bytes(identity)
            self.peak_bytes[step] = max(seen, self.peak_bytes.get(step, 0))

    def _show(self, current: str | None, activity: str, share: float) -> None:
        now = self.clock()
        cached = frozenset(step for step in self.seconds if self._cached(step))
        left = estimate.seconds_left(
            self.wanted,
            self._expected,
            self.seconds,
            current,
            now - self._step_began,
            share,
            cached | self._by_the_clock,
        )
        self.display.show(
            RunState(now - self._began, dict(self.seconds), cached, current, activity, share, left)
        )

    def _ended(self, step: str, seconds: float) -> None:
        self.seconds[step] = seconds

    def _cached(self, step: str) -> bool:
        return step in self.results and self.results[step].cached

    def _read_progress(self) -> dict[str, Any]:
        try:
            state = json.loads(self._progress_file.read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def _read_timings(self) -> dict[str, float]:
        try:
            return {
                str(name): float(value) for name, value in json.loads(self._timings_file.read_text()).items()
            }
        except (OSError, ValueError):
            return {}


def error_of(step: str, document: Mapping[str, Any]) -> Exception:
    """Return the error that a step left, with the step's name before its words."""
    error = error_from(document)
    if isinstance(error, RuntimeError):
        return RuntimeError(f"{step}: {document['kind']}: {document['message']}\n{document['traceback']}")
    message = str(error)
    return type(error)(message if message.startswith(f"{step}:") else f"{step}: {message}")


def ended_without_result(step: str, returncode: int | None, log: Path) -> Exception:
    """Return the error of a step that died without a word: its exit and the end of its log.

    Signal 9 is the kernel's when memory is short, seldom somebody's; 137 is how a shell says it.
    """
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
    if returncode in (-9, 137):
        return TransientError(
            f"{step}: ended without a result, killed (signal 9): most likely out of memory, give it more and run "
            f"again; log: {log}\n{tail}"
        )
    return RuntimeError(f"{step}: ended without a result, exit code {returncode}; log: {log}\n{tail}")


@contextlib.contextmanager
def exclusive(work_dir: Path) -> Iterator[None]:
    """Hold the run's lock; a second run of the same output is a UserError. A killed holder frees it."""
    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{work_dir}: another `daybreak run` works here; wait for it, or give another spec.output.uri"
            ) from error
        yield
