"""From a manifest to the arguments of every stage."""

from __future__ import annotations

import json
from dataclasses import replace

from daybreak_contracts import arguments, steps
from daybreak_contracts.names import DATA_PIPELINE, MODEL_PIPELINE
from daybreak_contracts.resources import TrainingRun
from daybreak_pipelines.kubeflow.definitions import PIPELINES

PLACE = arguments.Place("/out", "/out/.work", 2)
RESULTS = {
    step: steps.StepResult(uri=f"/out/{step}/1", digest=step * 3) for step in ("shards", "tokenizer", "train")
}


def _inputs(name: str) -> set[str]:
    return set(PIPELINES[name].component_spec.inputs)


def test_every_parameter_of_the_data_pipeline_is_given(run: TrainingRun) -> None:
    parameters = arguments.data_parameters(run, PLACE)
    assert set(parameters) == _inputs(DATA_PIPELINE)
    data = json.loads(parameters["data"])
    assert data["languages"] == ["c"]
    steps.DocumentsArgs.model_validate({"data": data, "output": "/out", "work_dir": "/w", "seed": 7})


def test_every_parameter_of_the_model_pipeline_is_given(run: TrainingRun) -> None:
    parameters = arguments.model_parameters(run, PLACE, RESULTS)
    assert set(parameters) == _inputs(MODEL_PIPELINE)
    assert parameters["trained_digest"] == "traintraintrain"
    args = {
        "suites": json.loads(parameters["suites"]),
        "gates": json.loads(parameters["gates"]),
        "model": "/m",
        "shards": "/s",
        "output": "/out",
        "work_dir": "/w",
    }
    assert steps.EvaluateArgs.model_validate(args).gates == run.spec.evaluation.gates


def test_on_kubeflow_the_parameters_say_where_results_go_and_who_may_read(run: TrainingRun) -> None:
    place = replace(PLACE, results_configmap="team/first-data-1", storage_secret="s3")
    for parameters in (
        arguments.data_parameters(run, place),
        arguments.model_parameters(run, place, RESULTS),
    ):
        assert (parameters["results_configmap"], parameters["storage_secret"]) == ("team/first-data-1", "s3")
    assert arguments.data_parameters(run, PLACE)["storage_secret"] == "daybreak-no-secret"


def test_a_deadline_limits_training_time(run: TrainingRun) -> None:
    args = arguments.train_args(run, PLACE, RESULTS)
    assert args.max_seconds == 60
    assert args.shards == "/out/shards/1"
    assert args.training.context_length == 256
    assert args.seed == 7
