"""From a manifest to the arguments of every stage: a step's arguments are named by its model and by who sets them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from daybreak_contracts import arguments, launch, names, steps
from daybreak_contracts.names import DATA_PIPELINE, MODEL_PIPELINE
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources import TrainingRun
from daybreak_pipelines.kubeflow import components
from daybreak_pipelines.kubeflow.definitions import PIPELINES

SETTINGS = arguments.RunSettings("/out", "/out/.work", 2)
RESULTS = {
    step: steps.StepResult(uri=f"/out/{step}/1", digest=step * 3) for step in ("shards", "tokenizer", "train")
}
ARGS = {
    names.STEP_DOCUMENTS: steps.DocumentsArgs,
    names.STEP_XRAY: steps.XrayArgs,
    names.STEP_TOKENIZER: steps.TokenizerArgs,
    names.STEP_SHARDS: steps.ShardArgs,
    names.STEP_EXPORT: steps.ExportArgs,
    names.STEP_EVALUATE: steps.EvaluateArgs,
}
ARTIFACTS = {"documents", "tokenizer_uri", "trained", "model", "shards"}
"""What earlier steps make; each may have its digest beside it."""
WHERE = {"output", "work_dir", "results_configmap"}
LEFT_AT_DEFAULT = {
    names.STEP_XRAY: {"seed"},  # draws nothing
    names.STEP_SHARDS: {"held_out_share"},
    names.STEP_EXPORT: {"seed", "cores"},  # neither draws nor divides its work
}


def _inputs(name: str) -> set[str]:
    return set(PIPELINES[name].component_spec.inputs)


def given(run: TrainingRun) -> dict[str, dict[str, Any]]:
    """Return each step's arguments as its component puts them together."""
    parameters = {
        **arguments.data_parameters(run, SETTINGS),
        **arguments.model_parameters(run, SETTINGS, RESULTS),
    }
    return {
        step: {
            **json.loads(parameters[f"{step}_args"]),
            **{
                name.removesuffix("_uri"): f"/out/{name}"
                for name in getattr(components, step).component_spec.inputs
                if name in ARTIFACTS
            },
            "output": parameters["output"],
            "work_dir": parameters["work_dir"],
        }
        for step in ARGS
    }


def test_every_parameter_of_the_data_pipeline_is_given(run: TrainingRun) -> None:
    parameters = arguments.data_parameters(run, SETTINGS)
    assert set(parameters) == _inputs(DATA_PIPELINE)
    documents = steps.DocumentsArgs.model_validate(given(run)["documents"])
    assert documents.data.languages == ("c",)
    assert (documents.seed, documents.cores, documents.output) == (7, 2, "/out")


def test_every_parameter_of_the_model_pipeline_is_given(run: TrainingRun) -> None:
    parameters = arguments.model_parameters(run, SETTINGS, RESULTS)
    assert set(parameters) == _inputs(MODEL_PIPELINE)
    assert parameters["trained_digest"] == "traintraintrain"
    assert parameters["tokenizer_uri"] == "/out/tokenizer/1"
    assert steps.EvaluateArgs.model_validate(given(run)["evaluate"]).gates == run.spec.evaluation.gates


@pytest.mark.parametrize("step", ARGS)
def test_every_field_of_a_steps_arguments_is_set(run: TrainingRun, step: str) -> None:
    found = given(run)[step]
    assert set(ARGS[step].model_fields) - set(found) == LEFT_AT_DEFAULT.get(step, set())
    assert ARGS[step].model_validate(found).model_dump(mode="json", include=set(found)) == found


@pytest.mark.parametrize("step", ARGS)
def test_kubeflow_names_no_argument_but_artifacts_and_places(step: str) -> None:
    """So a new field touches two files: the model in ``steps`` and who sets it in ``arguments``."""
    inputs = set(getattr(components, step).component_spec.inputs)
    assert inputs >= {"arguments", *WHERE}
    rest = inputs - {"arguments", *WHERE}
    assert rest <= ARTIFACTS | {f"{name.removesuffix('_uri')}_digest" for name in ARTIFACTS}


def test_a_field_that_is_added_reaches_the_step() -> None:
    class Wider(steps.ExportArgs):
        """The arguments of export with one more."""

        added: int = 0

    def run(args: Wider, progress: Progress) -> steps.ExportResult:
        return steps.ExportResult(uri=args.output, digest="d", num_parameters=args.added)

    text = json.dumps({"added": 3})
    places = {"trained": "t", "tokenizer": "k", "output": "o", "work_dir": "w"}
    result = launch.run_in_pipeline("export", Wider, run, {**json.loads(text), **places})
    assert result.num_parameters == 3


def test_on_kubeflow_the_parameters_say_where_results_go_and_who_may_read(run: TrainingRun) -> None:
    settings = replace(SETTINGS, results_configmap="team/first-data-1", storage_secret="s3")
    for parameters in (
        arguments.data_parameters(run, settings),
        arguments.model_parameters(run, settings, RESULTS),
    ):
        assert (parameters["results_configmap"], parameters["storage_secret"]) == ("team/first-data-1", "s3")
    assert arguments.data_parameters(run, SETTINGS)["storage_secret"] == "daybreak-no-secret"


def test_a_deadline_limits_training_time(run: TrainingRun) -> None:
    args = arguments.train_args(run, SETTINGS, RESULTS)
    assert args.max_seconds == 60
    assert args.shards == "/out/shards/1"
    assert args.training.context_length == 256
    assert args.seed == 7
