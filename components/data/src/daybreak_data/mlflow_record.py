"""One record in MLflow: parameters, metrics and files, on a server or in a local store.

Owns how MLflow is made quiet: no telemetry, no network but to the server that was named. Decides nothing about where
a record goes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts import storage

STORE = "mlflow"
DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"
# No telemetry and no network but to the server that was named; a dead server is found out in seconds, not minutes.
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}


@dataclass(frozen=True)
class TrackedRecord:
    """What is recorded of one piece of work."""

    experiment: str
    name: str
    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    metrics: Mapping[str, float]
    files: Sequence[str]
    """URIs of files that are copied into the record."""


def local_uri(folder: Path) -> str:
    """Return the tracking URI of a local store in a folder."""
    return f"sqlite:///{folder / DATABASE}"


def write(uri: str, folder: Path | None, record: TrackedRecord) -> str | None:
    """Record in one place and return None, or the first line of what went wrong; ``folder`` is a local store's."""
    with quiet():
        from mlflow.exceptions import MlflowException

        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            _write(uri, folder, record)
        except (MlflowException, OSError) as error:
            return str(error).partition("\n")[0][:200]
    return None


def _write(uri: str, folder: Path | None, record: TrackedRecord) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(record.experiment)
    if experiment is not None:
        where = experiment.experiment_id
    else:
        place = (folder / ARTIFACTS).as_uri() if folder is not None else None
        where = client.create_experiment(record.experiment, artifact_location=place)
    run = client.create_run(where, run_name=record.name, tags=dict(record.tags)).info.run_id
    metrics = [Metric(name, value, timestamp=0, step=0) for name, value in record.metrics.items()]
    client.log_batch(
        run, metrics=metrics, params=[Param(name, value) for name, value in record.parameters.items()]
    )
    with tempfile.TemporaryDirectory() as scratch:
        for file in record.files:
            copy = Path(scratch) / file.rpartition("/")[2]
            storage.copy_file(file, str(copy))
            client.log_artifact(run, str(copy))
    client.set_terminated(run)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep MLflow from speaking to anybody but the server that is named, and from printing."""
    before = {name: os.environ.get(name) for name in QUIET}
    os.environ.update(QUIET)
    level = logging.getLogger("mlflow").level
    try:
        with warnings.catch_warnings():
            # SQLAlchemy 2.1 on MLflow's own models; nothing that a user of ours can mend.
            warnings.filterwarnings("ignore", message="The ``noload`` loader strategy is deprecated")
            _hush()
            yield
    finally:
        logging.getLogger("mlflow").setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _hush() -> None:
    import mlflow  # noqa: F401  # sets the level of its logger when it is imported

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
