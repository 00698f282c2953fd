"""The x-ray's record in MLflow: parameters, metrics and the page, on the run's server or in a local store.

A server that cannot be reached costs one warning; the record then goes to the local store below the output, so it is
not lost. A small file beside the artifact remembers what was recorded where, so nothing is recorded twice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from daybreak_contracts import names, storage
from daybreak_contracts.steps import XrayArgs, XrayResult
from daybreak_data import mlflow_record

log = logging.getLogger(__name__)


def local_store(args: XrayArgs) -> Path:
    """Return the folder of the local store: below the output, or below the work folder when that is remote."""
    base = args.work_dir if storage.is_remote(args.output) else str(storage.local_path(args.output))
    return Path(base).absolute() / mlflow_record.STORE


def record(args: XrayArgs, result: XrayResult, parameters: Mapping[str, str]) -> str:
    """Record the result once and return the tracking URI that has it; empty when none could be reached."""
    remembered = storage.join(args.output, names.STEP_XRAY, f".recorded-{result.digest[:16]}.json")
    known = storage.read_json(remembered) if storage.exists(remembered) else {}
    folder = local_store(args)
    local = mlflow_record.local_uri(folder)
    wanted = args.tracking.mlflow.uri or local
    for uri in dict.fromkeys([wanted, local]):
        if uri in known:
            return uri
        reason = mlflow_record.write(uri, folder if uri == local else None, _record(args, result, parameters))
        if reason is None:
            storage.write_json(remembered, {**known, uri: result.uri})
            return uri
        then = f"recording in {local} instead" if uri != local else "the x-ray is complete but not recorded"
        log.warning("MLflow at %s cannot be used (%s): %s", uri, reason, then)
    return ""


def _record(args: XrayArgs, result: XrayResult, parameters: Mapping[str, str]) -> mlflow_record.TrackedRecord:
    return mlflow_record.TrackedRecord(
        experiment=args.title,
        name=f"{names.STEP_XRAY}-{result.digest[:8]}",
        tags={"digest": result.digest, "step": names.STEP_XRAY},
        parameters={**parameters, "uri": result.uri},
        metrics=result.metrics,
        files=[storage.join(result.uri, name) for name in (result.html, "xray.json")],
    )
