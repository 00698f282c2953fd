"""The x-ray's record in MLflow: parameters, metrics and the page, on the run's server or in a local store.

A server that cannot be reached costs one warning; the record then goes to the local store below the output, so it is
not lost. A small file beside the artifact remembers what was recorded where, so nothing is recorded twice.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

from daybreak_contracts import names, storage
from daybreak_contracts.steps import XrayArgs, XrayResult

log = logging.getLogger(__name__)

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


def local_store(args: XrayArgs) -> Path:
    """Return the folder of the local store: below the output, or below the work folder when that is remote."""
    base = args.work_dir if storage.is_remote(args.output) else str(storage.local_path(args.output))
    return Path(base).absolute() / STORE


def record(args: XrayArgs, result: XrayResult, parameters: Mapping[str, str]) -> str:
    """Record the result once and return the tracking URI that has it; empty when none could be reached."""
    remembered = storage.join(args.output, names.STEP_XRAY, f".recorded-{result.digest[:16]}.json")
    known = storage.read_json(remembered) if storage.exists(remembered) else {}
    folder = local_store(args)
    local = f"sqlite:///{folder / DATABASE}"
    wanted = args.tracking.mlflow.uri or local
    for uri in dict.fromkeys([wanted, local]):
        if uri in known:
            return uri
        reason = _try(uri, folder if uri == local else None, args, result, parameters)
        if reason is None:
            storage.write_json(remembered, {**known, uri: result.uri})
            return uri
        then = f"recording in {local} instead" if uri != local else "the x-ray is complete but not recorded"
        log.warning("MLflow at %s cannot be used (%s): %s", uri, reason, then)
    return ""


def _try(
    uri: str, folder: Path | None, args: XrayArgs, result: XrayResult, parameters: Mapping[str, str]
) -> str | None:
    """Record in one place and return None, or the first line of what went wrong."""
    with _quiet():
        from mlflow.exceptions import MlflowException

        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            _record(uri, folder, args, result, parameters)
        except (MlflowException, OSError) as error:
            return str(error).partition("\n")[0][:200]
    return None


def _record(
    uri: str, folder: Path | None, args: XrayArgs, result: XrayResult, parameters: Mapping[str, str]
) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(args.title)
    if experiment is not None:
        where = experiment.experiment_id
    else:
        place = (folder / ARTIFACTS).as_uri() if folder is not None else None
        where = client.create_experiment(args.title, artifact_location=place)
    tags = {"digest": result.digest, "step": names.STEP_XRAY}
    run = client.create_run(where, run_name=f"{names.STEP_XRAY}-{result.digest[:8]}", tags=tags).info.run_id
    everything = {**parameters, "uri": result.uri}
    metrics = [Metric(name, value, timestamp=0, step=0) for name, value in result.metrics.items()]
    client.log_batch(run, metrics=metrics, params=[Param(name, value) for name, value in everything.items()])
    with tempfile.TemporaryDirectory() as scratch:
        for name in (result.html, "xray.json"):
            storage.copy_file(storage.join(result.uri, name), str(Path(scratch) / name))
            client.log_artifact(run, str(Path(scratch) / name))
    client.set_terminated(run)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
