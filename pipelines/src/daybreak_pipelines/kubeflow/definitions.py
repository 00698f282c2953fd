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
    documents_args: str,
    xray_args: str,
    tokenizer_args: str,
    shards_args: str,
    output: str,
    work_dir: str = names.WORK_DIR,
    results_configmap: str = "",
    storage_secret: str = names.NO_SECRET,
) -> None:
    """Run documents, then x-ray and tokenizer, then shards."""
    place = {"output": output, "work_dir": work_dir, "results_configmap": results_configmap}
    documents = components.documents(arguments=documents_args, **place)
    cleaned = {"documents": documents.outputs["uri"], "documents_digest": documents.outputs["digest"]}
    xray = components.xray(arguments=xray_args, **cleaned, **place)
    tokenizer = components.tokenizer(arguments=tokenizer_args, **cleaned, **place)
    shards = components.shards(
        arguments=shards_args,
        tokenizer_uri=tokenizer.outputs["uri"],
        tokenizer_digest=tokenizer.outputs["digest"],
        **cleaned,
        **place,
    )
    _in_pods(
        {"Clean documents": documents, "X-ray": xray, "Tokenizer": tokenizer, "Token shards": shards},
        storage_secret,
    )


@dsl.pipeline(name=MODEL_PIPELINE, description="A trained checkpoint to a model folder and its scores.")
def model_pipeline(
    export_args: str,
    evaluate_args: str,
    trained: str,
    trained_digest: str,
    tokenizer_uri: str,
    shards: str,
    output: str,
    work_dir: str = names.WORK_DIR,
    results_configmap: str = "",
    storage_secret: str = names.NO_SECRET,
) -> None:
    """Run export, then evaluate."""
    place = {"output": output, "work_dir": work_dir, "results_configmap": results_configmap}
    export = components.export(
        arguments=export_args,
        trained=trained,
        trained_digest=trained_digest,
        tokenizer_uri=tokenizer_uri,
        **place,
    )
    evaluate = components.evaluate(
        arguments=evaluate_args,
        model=export.outputs["uri"],
        model_digest=export.outputs["digest"],
        shards=shards,
        **place,
    )
    _in_pods({"Export": export, "Evaluate": evaluate}, storage_secret)


PIPELINES = {DATA_PIPELINE: data_pipeline, MODEL_PIPELINE: model_pipeline}
