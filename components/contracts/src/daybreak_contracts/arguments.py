"""A TrainingRun's arguments for each of its stages: the same on one machine and on a cluster. Pure.

Owns the translation of a manifest into pipeline parameters and training arguments; not who runs them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.steps import StepResult, TrainArgs


@dataclass(frozen=True)
class Place:
    """Where a run happens: the output URI, a local scratch folder, the number of processes (0 = all cores)."""

    output: str
    work_dir: str
    cores: int = 0
    results_configmap: str = ""
    """On Kubeflow: ``<namespace>/<ConfigMap>`` that takes the steps' results; else the environment names it."""
    storage_secret: str = ""
    """On Kubeflow: Secret with credentials for object storage (``names.STORAGE_SECRET_KEYS``)."""


def data_parameters(run: TrainingRun, place: Place) -> dict[str, Any]:
    """Return the parameters of the data pipeline."""
    spec = run.spec
    return {
        "data": _json(spec.data),
        "tokenizer": _json(spec.tokenizer),
        "output": place.output,
        "work_dir": place.work_dir,
        "title": run.metadata.name,
        "tracking": _json(spec.tracking),
        "context_length": spec.training.context_length,
        "seed": spec.seed,
        "cores": place.cores,
        "executors": spec.data.executors.count,
        "results_configmap": place.results_configmap,
        "storage_secret": place.storage_secret or names.NO_SECRET,
    }


def train_args(run: TrainingRun, place: Place, results: Mapping[str, StepResult]) -> TrainArgs:
    """Return the arguments of training, from what the data pipeline made.

    A deadline is a limit on training time.
    """
    spec = run.spec
    deadline = spec.training.deadline_seconds
    return TrainArgs(
        output=place.output,
        work_dir=place.work_dir,
        seed=spec.seed,
        cores=place.cores,
        shards=results[names.STEP_SHARDS].uri,
        tokenizer=results[names.STEP_TOKENIZER].uri,
        model=spec.model,
        training=spec.training,
        tracking=spec.tracking,
        run_name=run.metadata.name,
        max_seconds=float(deadline) if deadline is not None else None,
    )


def model_parameters(run: TrainingRun, place: Place, results: Mapping[str, StepResult]) -> dict[str, Any]:
    """Return the parameters of the model pipeline, from what training made."""
    spec = run.spec
    trained = results[names.STEP_TRAIN]
    return {
        "trained": trained.uri,
        "trained_digest": trained.digest,
        "tokenizer": results[names.STEP_TOKENIZER].uri,
        "shards": results[names.STEP_SHARDS].uri,
        "suites": json.dumps([suite.model_dump(mode="json") for suite in spec.evaluation.suites]),
        "gates": json.dumps([gate.model_dump(mode="json") for gate in spec.evaluation.gates]),
        "output": place.output,
        "work_dir": place.work_dir,
        "seed": spec.seed,
        "cores": place.cores,
        "results_configmap": place.results_configmap,
        "storage_secret": place.storage_secret or names.NO_SECRET,
    }


def _json(part: Any) -> str:
    return json.dumps(part.model_dump(mode="json"), sort_keys=True)
