"""A TrainingRun's arguments for each of its stages: the same on one machine and on a cluster. Pure.

Owns the translation of a manifest into pipeline parameters and training arguments; not who runs them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python

from daybreak_contracts import names
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.steps import StepResult, TrainArgs


@dataclass(frozen=True)
class RunSettings:
    """Where and how a run happens: output URI, local scratch folder, number of processes (0 = all cores)."""

    output: str
    work_dir: str
    cores: int = 0
    results_configmap: str = ""
    """On Kubeflow: ``<namespace>/<ConfigMap>`` that takes the steps' results; else the environment names it."""
    storage_secret: str = ""
    """On Kubeflow: Secret with credentials for object storage (``names.STORAGE_SECRET_KEYS``)."""


def data_parameters(run: TrainingRun, settings: RunSettings) -> dict[str, Any]:
    """Return the parameters of the data pipeline."""
    spec = run.spec
    each = {"seed": spec.seed, "cores": settings.cores}
    executors = spec.data.executors.count
    return {
        "documents_args": _json(data=spec.data, **each),
        "xray_args": _json(
            title=run.metadata.name, tracking=spec.tracking, cores=settings.cores, executors=executors
        ),
        "tokenizer_args": _json(tokenizer=spec.tokenizer, **each),
        "shards_args": _json(
            context_length=spec.training.context_length,
            mixture=spec.data.mixture,
            layout=spec.data.layout,
            executors=executors,
            **each,
        ),
        **_shared(settings),
    }


def train_args(run: TrainingRun, settings: RunSettings, results: Mapping[str, StepResult]) -> TrainArgs:
    """Return the arguments of training, from what the data pipeline made.

    A deadline is a limit on training time.
    """
    spec = run.spec
    deadline = spec.training.deadline_seconds
    return TrainArgs(
        output=settings.output,
        work_dir=settings.work_dir,
        seed=spec.seed,
        cores=settings.cores,
        shards=results[names.STEP_SHARDS].uri,
        tokenizer=results[names.STEP_TOKENIZER].uri,
        model=spec.wanted_model(),
        training=spec.training,
        tracking=spec.tracking,
        run_name=run.metadata.name,
        max_seconds=float(deadline) if deadline is not None else None,
    )


def model_parameters(
    run: TrainingRun, settings: RunSettings, results: Mapping[str, StepResult]
) -> dict[str, Any]:
    """Return the parameters of the model pipeline, from what training made."""
    spec = run.spec
    trained = results[names.STEP_TRAIN]
    return {
        "export_args": _json(),
        "evaluate_args": _json(
            suites=spec.evaluation.suites, gates=spec.evaluation.gates, seed=spec.seed, cores=settings.cores
        ),
        "trained": trained.uri,
        "trained_digest": trained.digest,
        "tokenizer_uri": results[names.STEP_TOKENIZER].uri,
        "shards": results[names.STEP_SHARDS].uri,
        **_shared(settings),
    }


def _shared(settings: RunSettings) -> dict[str, Any]:
    return {
        "output": settings.output,
        "work_dir": settings.work_dir,
        "results_configmap": settings.results_configmap,
        "storage_secret": settings.storage_secret or names.NO_SECRET,
    }


def _json(**values: Any) -> str:
    """Return fields of a step's ``Args`` as JSON; what earlier steps make is added when the step runs."""
    return json.dumps(to_jsonable_python(values, by_alias=False), sort_keys=True)
