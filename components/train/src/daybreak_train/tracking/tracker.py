"""Metrics on their way to MLflow and Weights & Biases.

Owns the thread that talks to both, so that neither a slow nor a dead server is felt by the training. The run's own
ledger is elsewhere and does not depend on any of this.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from daybreak_contracts import storage
from daybreak_contracts.resources.run import Tracking
from daybreak_train import places
from daybreak_train.tracking.delivery import FIRST_WAIT_S, Delivery
from daybreak_train.tracking.points import LOSS

log = logging.getLogger(__name__)
FLUSH_S = 10.0
"""How long the end of a run waits for metrics that are still on their way."""
MOST_OF_A_NOTE = 4000
"""MLflow takes 5,000 characters of a tag."""
Metrics = Mapping[str, float]

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "WANDB_SILENT": "true",
    "WANDB_CONSOLE": "off",
    "WANDB_DISABLE_GIT": "true",
    "WANDB_ERROR_REPORTING": "false",
}


@dataclass(frozen=True)
class RunIdentity:
    """What a run is called where it is tracked."""

    name: str
    digest: str
    output: str
    work_dir: str

    @property
    def tracker_id(self) -> str:
        """The same id at every resume, so that one training is one run."""
        return places.run_folder(self.digest)


class TrackingSink(Protocol):
    """One place that metrics go to."""

    def log(self, metrics: Metrics, step: int, at_s: float) -> None:
        """Send metrics of one step, which was made at ``at_s`` (Unix time)."""

    def note(self, name: str, text: str) -> None:
        """Add a remark to the run."""

    def close(self, finished: bool) -> None:
        """End the run there."""


class MlflowSink:
    """An MLflow run; the store lies below the run's output unless a server is named."""

    def __init__(self, uri: str, identity: RunIdentity, parameters: Mapping[str, Any]) -> None:
        import mlflow
        from mlflow.entities import Param

        for name in ("mlflow", "alembic"):  # importing it sets the level of its loggers
            logging.getLogger(name).setLevel(logging.ERROR)
        folder = mlflow_folder(identity)
        if not uri:
            folder.mkdir(parents=True, exist_ok=True)
        self._client = mlflow.MlflowClient(tracking_uri=uri or f"sqlite:///{folder / 'mlflow.db'}")
        experiment = self._client.get_experiment_by_name(identity.name)
        place = None if uri else (folder / "artifacts").as_uri()
        if experiment is not None:
            where = experiment.experiment_id
        else:
            where = self._client.create_experiment(identity.name, artifact_location=place)
        found = self._client.search_runs([where], f"tags.digest = '{identity.digest}'", max_results=1)
        self._next_step = 0
        if found:
            self._run_id = found[0].info.run_id
            self._client.set_terminated(self._run_id, "RUNNING")
            told = self._client.get_metric_history(self._run_id, LOSS)
            self._next_step = max((point.step for point in told), default=-1) + 1
            return
        tags = {"digest": identity.digest}
        self._run_id = self._client.create_run(
            where, tags=tags, run_name=f"train-{identity.digest[:8]}"
        ).info.run_id
        self._client.log_batch(
            self._run_id, params=[Param(name, str(value)) for name, value in parameters.items()]
        )

    def log(self, metrics: Metrics, step: int, at_s: float) -> None:
        """Send metrics of one step; one that was sent before a stop or a rewind is not sent again.

        With the time at which it was made: sent twice because an answer was lost, it is there once.
        """
        from mlflow.entities import Metric

        if step < self._next_step:
            return
        self._next_step = step
        self._client.log_batch(
            self._run_id, [Metric(name, value, int(at_s * 1000), step) for name, value in metrics.items()]
        )

    def note(self, name: str, text: str) -> None:
        """Add a tag to the run."""
        self._client.set_tag(self._run_id, name, text[:MOST_OF_A_NOTE])

    def close(self, finished: bool) -> None:
        """Mark the run as finished or killed."""
        self._client.set_terminated(self._run_id, "FINISHED" if finished else "KILLED")


class WandbSink:
    """A Weights & Biases run; offline without a key.

    Offline it can't be opened again: a resume would leave a second folder. So every point and remark is
    kept in a file beside the folder, and a resume writes the folder anew from it.
    """

    def __init__(self, project: str, identity: RunIdentity, parameters: Mapping[str, Any]) -> None:
        import wandb

        online = bool(os.environ.get("WANDB_API_KEY"))
        folder = Path(identity.work_dir) / "wandb"
        self._points = folder / f"points-{identity.tracker_id}.jsonl"
        told = {} if online else _told_in(self._points)
        if not online:
            for old in folder.glob(f"offline-run-*-{identity.tracker_id}"):
                shutil.rmtree(old, ignore_errors=True)
        self._run = wandb.init(
            project=project,
            name=identity.name,
            id=identity.tracker_id,
            resume="allow",
            mode="online" if online else "offline",
            dir=identity.work_dir,
            config=dict(parameters),
        )
        # offline it is 0; a server tells what it has
        self._next_step = int(self._run.step)
        storage.write_bytes(str(self._points), "".join(_line(*item) for item in told.items()).encode())
        for key, value in told.items():
            if isinstance(key, int):
                self._send(value, key)
            else:
                self._run.summary[key] = value

    def log(self, metrics: Metrics, step: int, at_s: float) -> None:
        """Send metrics of one step; one that was sent before a stop or a rewind is not sent again."""
        if step < self._next_step:
            return
        self._send(metrics, step)
        self._keep(step, dict(metrics))

    def _send(self, metrics: Metrics, step: int) -> None:
        self._next_step = step
        self._run.log(dict(metrics), step=step)

    def note(self, name: str, text: str) -> None:
        """Add a line to the run's summary."""
        self._run.summary[name] = text[:MOST_OF_A_NOTE]
        self._keep(name, text[:MOST_OF_A_NOTE])

    def _keep(self, key: int | str, value: Any) -> None:
        with self._points.open("a") as file:
            file.write(_line(key, value))

    def close(self, finished: bool) -> None:
        """End the run."""
        self._run.finish(exit_code=0 if finished else 1)


def _line(key: int | str, value: Any) -> str:
    return json.dumps([key, value]) + "\n"


def _told_in(file: Path) -> dict[int | str, Any]:
    """Return an earlier process's metrics by step and remarks by name; a line that a kill cut off is none."""
    told: dict[int | str, Any] = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        with contextlib.suppress(ValueError):
            key, value = json.loads(line)
            told[key] = {**told.get(key, {}), **value} if isinstance(key, int) else value
    return told


def mlflow_folder(identity: RunIdentity) -> Path:
    """Return the folder of the local MLflow store: below the output, or the work folder when that is remote."""
    base = (
        identity.work_dir if storage.is_remote(identity.output) else str(storage.local_path(identity.output))
    )
    return Path(base).absolute() / "mlflow"


class Tracker:
    """Hands metrics to the sinks in a thread; one that is away is told later what it missed."""

    def __init__(self, tracking: Tracking, identity: RunIdentity, parameters: Mapping[str, Any]) -> None:
        self._queue: queue.SimpleQueue[Callable[[TrackingSink], None] | bool] = queue.SimpleQueue()
        self._deliveries = _deliveries(tracking, identity, parameters)
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def log(self, metrics: Metrics, step: int) -> None:
        """Take metrics of one step; returns at once."""
        taken, now = dict(metrics), time.time()
        self._queue.put(lambda sink: sink.log(taken, step, now))

    def note(self, name: str, text: str) -> None:
        """Take a remark; returns at once."""
        self._queue.put(lambda sink: sink.note(name, text))

    def close(self, finished: bool) -> None:
        """End the run in the sinks, waiting at most ``FLUSH_S``, and say what they do not have."""
        self._queue.put(finished)
        self._thread.join(FLUSH_S)
        for delivery in self._deliveries:
            if delivery.unrecorded:
                log.warning("%s: does not have %d entries of this run", delivery.name, delivery.unrecorded)

    def _work(self) -> None:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        for delivery in self._deliveries:
            delivery.flush()
        while True:
            try:
                item = self._queue.get(timeout=FIRST_WAIT_S)
            except queue.Empty:
                for delivery in self._deliveries:
                    delivery.flush()
                continue
            for delivery in self._deliveries:
                if isinstance(item, bool):
                    delivery.end(_closing(item))
                else:
                    delivery.take(item)
            if isinstance(item, bool):
                return


def _closing(finished: bool) -> Callable[[TrackingSink], None]:
    return lambda sink: sink.close(finished)


def _deliveries(
    tracking: Tracking, identity: RunIdentity, parameters: Mapping[str, Any]
) -> list[Delivery[TrackingSink]]:
    openers: dict[str, Callable[[], TrackingSink]] = {
        "MLflow": lambda: MlflowSink(tracking.mlflow.uri, identity, parameters)
    }
    if tracking.wandb.project:
        openers["Weights & Biases"] = lambda: WandbSink(tracking.wandb.project, identity, parameters)
    return [Delivery(name, opened, time.monotonic) for name, opened in openers.items()]
