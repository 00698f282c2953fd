"""The steps as Kubeflow components: thin bodies that call a component package inside its own image.

A step's arguments travel as one JSON text (``daybreak_contracts.arguments`` writes it, the step's ``Args`` model reads
it); inputs of their own are only what an earlier step made and where the step works. KFP copies each function's source
into the pipeline, so a body imports what it needs and nothing stands around it; annotations are not postponed because
KFP reads them. JSON, because a KFP struct would turn every integer into a double.
"""

from typing import NamedTuple

from kfp import dsl

from daybreak_pipelines.kubeflow import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def documents(
    arguments: str,
    output: str,
    work_dir: str,
    results_configmap: str,
) -> NamedTuple("Documents", [("uri", str), ("digest", str)]):
    """Sources to clean, deduplicated documents."""
    import json

    from daybreak_contracts.launch import run_in_pipeline
    from daybreak_contracts.steps import DocumentsArgs
    from daybreak_data.documents.step import run_documents

    given = {
        **json.loads(arguments),
        "output": output,
        "work_dir": work_dir,
    }
    result = run_in_pipeline("documents", DocumentsArgs, run_documents, given, results_configmap)
    return (result.uri, result.digest)


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def xray(
    arguments: str,
    documents: str,
    documents_digest: str,
    output: str,
    work_dir: str,
    results_configmap: str,
    page: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Documents to a report that a person reads."""
    import json
    from pathlib import Path

    from daybreak_contracts import storage
    from daybreak_contracts.launch import run_in_pipeline
    from daybreak_contracts.steps import XrayArgs
    from daybreak_data.xray.step import run_xray

    given = {
        **json.loads(arguments),
        "documents": documents,
        "output": output,
        "work_dir": work_dir,
    }
    result = run_in_pipeline("xray", XrayArgs, run_xray, given, results_configmap)
    Path(page.path).write_bytes(storage.read_bytes(storage.join(result.uri, result.html)))
    for name, value in result.metrics.items():
        metrics.log_metric(name, value)
    return str(result.uri)


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def tokenizer(
    arguments: str,
    documents: str,
    documents_digest: str,
    output: str,
    work_dir: str,
    results_configmap: str,
) -> NamedTuple("Tokenizer", [("uri", str), ("digest", str)]):
    """Documents to a tokenizer."""
    import json

    from daybreak_contracts.launch import run_in_pipeline
    from daybreak_contracts.steps import TokenizerArgs
    from daybreak_data.tokenizer.step import run_tokenizer

    given = {
        **json.loads(arguments),
        "documents": documents,
        "output": output,
        "work_dir": work_dir,
    }
    result = run_in_pipeline("tokenizer", TokenizerArgs, run_tokenizer, given, results_configmap)
    return (result.uri, result.digest)


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def shards(
    arguments: str,
    documents: str,
    documents_digest: str,
    tokenizer_uri: str,
    tokenizer_digest: str,
    output: str,
    work_dir: str,
    results_configmap: str,
) -> NamedTuple("Shards", [("uri", str), ("digest", str)]):
    """Documents and a tokenizer to token shards."""
    import json

    from daybreak_contracts.launch import run_in_pipeline
    from daybreak_contracts.steps import ShardArgs
    from daybreak_data.shards.step import run_shards

    given = {
        **json.loads(arguments),
        "documents": documents,
        "tokenizer": tokenizer_uri,
        "output": output,
        "work_dir": work_dir,
    }
    result = run_in_pipeline("shards", ShardArgs, run_shards, given, results_configmap)
    return (result.uri, result.digest)


@dsl.component(base_image=images.TRAIN, install_kfp_package=False)
def export(
    arguments: str,
    trained: str,
    trained_digest: str,
    tokenizer_uri: str,
    output: str,
    work_dir: str,
    results_configmap: str,
) -> NamedTuple("Export", [("uri", str), ("digest", str)]):
    """A training artifact to a LlamaForCausalLM folder."""
    import json

    from daybreak_contracts.launch import run_in_pipeline
    from daybreak_contracts.steps import ExportArgs
    from daybreak_train.export.step import run_export

    given = {
        **json.loads(arguments),
        "trained": trained,
        "tokenizer": tokenizer_uri,
        "output": output,
        "work_dir": work_dir,
    }
    result = run_in_pipeline("export", ExportArgs, run_export, given, results_configmap)
    return (result.uri, result.digest)


@dsl.component(base_image=images.EVALUATE, install_kfp_package=False)
def evaluate(
    arguments: str,
    model: str,
    model_digest: str,
    shards: str,
    output: str,
    work_dir: str,
    results_configmap: str,
    page: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
) -> NamedTuple("Evaluate", [("uri", str), ("digest", str), ("failed_gates", int)]):
    """A model folder to scores."""
    import json
    from pathlib import Path

    from daybreak_contracts import storage
    from daybreak_contracts.launch import run_in_pipeline
    from daybreak_contracts.steps import EvaluateArgs
    from daybreak_evaluate.evaluate import run_evaluate

    given = {
        **json.loads(arguments),
        "model": model,
        "shards": shards,
        "output": output,
        "work_dir": work_dir,
    }
    result = run_in_pipeline("evaluate", EvaluateArgs, run_evaluate, given, results_configmap)
    Path(page.path).write_bytes(storage.read_bytes(storage.join(result.uri, "scores.html")))
    for score in result.scores:
        metrics.log_metric(score.metric, score.value)
    return (result.uri, result.digest, len(result.failed_gates))
