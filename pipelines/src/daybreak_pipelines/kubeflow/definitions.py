"""The two Kubeflow pipelines, with training between them: data (code to shards), model (checkpoint to scores).

Few, solid steps: on a cluster each costs some 25 s besides its work. KFP's own caching is off: a step that KFP
skips hands nothing to the operator, and a step that finds its artifact made answers in seconds (decision 0009).
"""

from collections.abc import Mapping
from typing import Any

from kfp import dsl, kubernetes

from daybreak_contracts import names
from daybreak_contracts.names import DATA_PIPELINE, MODEL_PIPELINE
from daybreak_pipelines.kubeflow import components


def _in_pods(tasks: Mapping[str, dsl.PipelineTask], storage_secret: Any) -> None:
    """Name tasks and say what they need of a cluster: a disk, credentials; and that they must always be started.

    The keys that a Secret lacks, and a Secret that is not there, are left out: workload identity needs neither.
    """
    for title, task in tasks.items():
        task.set_display_name(title)
        task.set_caching_options(False)
        kubernetes.empty_dir_mount(task, volume_name="work", mount_path=names.WORK_DIR)
        kubernetes.use_secret_as_env(
            task, storage_secret, {key: key for key in names.STORAGE_SECRET_KEYS}, optional=True
        )


@dsl.pipeline(name=DATA_PIPELINE, description="Raw source code to an x-ray, a tokenizer and token shards.")
def data_pipeline(
    data: str,
    tokenizer: str,
    output: str,
    work_dir: str = names.WORK_DIR,
    title: str = "x-ray",
    tracking: str = "{}",
    context_length: int = 2048,
    seed: int = 0,
    cores: int = 0,
    executors: int = 0,
    results_configmap: str = "",
    storage_secret: str = names.NO_SECRET,
) -> None:
    """Run documents, then x-ray and tokenizer, then shards."""
    made = components.documents(
        data=data,
        output=output,
        work_dir=work_dir,
        seed=seed,
        cores=cores,
        results_configmap=results_configmap,
    )
    look = components.xray(
        documents=made.outputs["uri"],
        documents_digest=made.outputs["digest"],
        output=output,
        work_dir=work_dir,
        title=title,
        tracking=tracking,
        cores=cores,
        executors=executors,
        results_configmap=results_configmap,
    )
    words = components.tokenizer(
        documents=made.outputs["uri"],
        documents_digest=made.outputs["digest"],
        output=output,
        work_dir=work_dir,
        tokenizer=tokenizer,
        seed=seed,
        cores=cores,
        results_configmap=results_configmap,
    )
    pieces = components.shards(
        documents=made.outputs["uri"],
        documents_digest=made.outputs["digest"],
        tokenizer=words.outputs["uri"],
        tokenizer_digest=words.outputs["digest"],
        output=output,
        work_dir=work_dir,
        context_length=context_length,
        seed=seed,
        cores=cores,
        executors=executors,
        results_configmap=results_configmap,
    )
    _in_pods(
        {"Clean documents": made, "X-ray": look, "Tokenizer": words, "Token shards": pieces}, storage_secret
    )


@dsl.pipeline(name=MODEL_PIPELINE, description="A trained checkpoint to a model folder and its scores.")
def model_pipeline(
    trained: str,
    trained_digest: str,
    tokenizer: str,
    shards: str,
    suites: str,
    output: str,
    gates: str = "[]",
    work_dir: str = names.WORK_DIR,
    seed: int = 0,
    cores: int = 0,
    results_configmap: str = "",
    storage_secret: str = names.NO_SECRET,
) -> None:
    """Run export, then evaluate."""
    folder = components.export(
        trained=trained,
        trained_digest=trained_digest,
        tokenizer=tokenizer,
        output=output,
        work_dir=work_dir,
        results_configmap=results_configmap,
    )
    scores = components.evaluate(
        model=folder.outputs["uri"],
        model_digest=folder.outputs["digest"],
        shards=shards,
        suites=suites,
        gates=gates,
        output=output,
        work_dir=work_dir,
        seed=seed,
        cores=cores,
        results_configmap=results_configmap,
    )
    _in_pods({"Export": folder, "Evaluate": scores}, storage_secret)


PIPELINES = {DATA_PIPELINE: data_pipeline, MODEL_PIPELINE: model_pipeline}
