"""Metrics on their way to MLflow and Weights & Biases.

Owns the thread that talks to both, so that neither a slow nor a dead server is felt by the training. The run's own
ledger is elsewhere and does not depend on any of this.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from daybreak_contracts import storage
from daybreak_contracts.resources.run import Tracking

log = logging.getLogger(__name__)
FLUSH_S = 10.0
"""How long the end of a run waits for metrics that are still on their way."""
Metrics = Mapping[str, float]

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
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
        return f"{self.digest[:16]}"


class TrackingSink(Protocol):
    """One place that metrics go to."""

    def log(self, metrics: Metrics, step: int) -> None:
        """Send metrics of one step."""

    def close(self, finished: bool) -> None:
        """End the run there."""


class MlflowSink:
    """An MLflow run; the store lies below the run's output unless a server is named."""

    def __init__(self, uri: str, identity: RunIdentity, parameters: Mapping[str, Any]) -> None:
        import mlflow

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
        if found:
            self._run_id = found[0].info.run_id
            self._client.set_terminated(self._run_id, "RUNNING")
            return
        tags = {"digest": identity.digest}
        self._run_id = self._client.create_run(
            where, tags=tags, run_name=f"train-{identity.digest[:8]}"
        ).info.run_id
        for name, value in parameters.items():
            self._client.log_param(self._run_id, name, value)

    def log(self, metrics: Metrics, step: int) -> None:
        """Send metrics of one step."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(
            self._run_id, [Metric(name, value, now, step) for name, value in metrics.items()]
        )

    def close(self, finished: bool) -> None:
        """Mark the run as finished or killed."""
        self._client.set_terminated(self._run_id, "FINISHED" if finished else "KILLED")


class WandbSink:
    """A Weights & Biases run; offline without a key."""

    def __init__(self, project: str, identity: RunIdentity, parameters: Mapping[str, Any]) -> None:
        import wandb

        self._run = wandb.init(
            project=project,
            name=identity.name,
            id=identity.tracker_id,
            resume="allow",
            mode="online" if os.environ.get("WANDB_API_KEY") else "offline",
            dir=identity.work_dir,
            config=dict(parameters),
        )

    def log(self, metrics: Metrics, step: int) -> None:
        """Send metrics of one step."""
        self._run.log(dict(metrics), step=step)

    def close(self, finished: bool) -> None:
        """End the run."""
        self._run.finish(exit_code=0 if finished else 1)


def mlflow_folder(identity: RunIdentity) -> Path:
    """Return the folder of the local MLflow store: below the output, or the work folder when that is remote."""
    base = (
        identity.work_dir if storage.is_remote(identity.output) else str(storage.local_path(identity.output))
    )
    return Path(base).absolute() / "mlflow"


class Tracker:
    """Hands metrics to the sinks in a thread; one that fails is dropped with one warning."""

    def __init__(self, tracking: Tracking, identity: RunIdentity, parameters: Mapping[str, Any]) -> None:
        self._tracking = tracking
        self._identity = identity
        self._parameters = parameters
        self._queue: queue.SimpleQueue[tuple[Metrics, int] | bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    def log(self, metrics: Metrics, step: int) -> None:
        """Take metrics of one step; returns at once."""
        self._queue.put((dict(metrics), step))

    def close(self, finished: bool) -> None:
        """End the run in the sinks, waiting at most ``FLUSH_S``."""
        self._queue.put(finished)
        self._thread.join(FLUSH_S)

    def _work(self) -> None:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        sinks = self._open()
        while not isinstance(item := self._queue.get(), bool):
            sinks = [sink for sink in sinks if _logged(sink, *item)]
        for sink in sinks:
            with _tolerated(type(sink).__name__):
                sink.close(item)

    def _open(self) -> list[TrackingSink]:
        sinks: list[TrackingSink] = []
        with _tolerated("MLflow"):
            sinks.append(MlflowSink(self._tracking.mlflow.uri, self._identity, self._parameters))
        if self._tracking.wandb.project:
            with _tolerated("Weights & Biases"):
                sinks.append(WandbSink(self._tracking.wandb.project, self._identity, self._parameters))
        return sinks


def _logged(sink: TrackingSink, metrics: Metrics, step: int) -> bool:
    """Tell whether the sink took the metrics."""
    failures: list[Exception] = []
    with _tolerated(type(sink).__name__, failures):
        sink.log(metrics, step)
    return not failures


@contextlib.contextmanager
def _tolerated(name: str, failures: list[Exception] | None = None) -> Iterator[None]:
    """Turn whatever a tracking library throws at us into one warning: its errors share no base class."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a metric that is not recorded must never end a training
        log.warning("%s: training goes on without it (%s: %s)", name, type(error).__name__, error)
        if failures is not None:
            failures.append(error)
