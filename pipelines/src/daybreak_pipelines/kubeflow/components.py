"""The steps as Kubeflow components: thin bodies that call a component package inside its own image.

KFP copies each function's source into the pipeline, so a body imports what it needs and nothing stands around
it; annotations are not postponed because KFP reads them. Specs travel as JSON text: a KFP struct would turn
every integer into a double.
"""

from typing import NamedTuple

from kfp import dsl

from daybreak_pipelines.kubeflow import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def documents(
    data: str, output: str, work_dir: str, seed: int, cores: int, results_configmap: str
) -> NamedTuple("Documents", [("uri", str), ("digest", str)]):
    """Sources to clean, deduplicated documents."""
    import json

    from daybreak_contracts.launch import run_in_pipeline
    from daybreak_contracts.steps import DocumentsArgs
    from daybreak_data.documents.step import run_documents

    result = run_in_pipeline(
        "documents",
        DocumentsArgs,
        run_documents,
        {"data": json.loads(data), "output": output, "work_dir": work_dir, "seed": seed, "cores": cores},
        results_configmap,
    )
    return (result.uri, result.digest)


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def xray(
    documents: str,
    documents_digest: str,
    output: str,
    work_dir: str,
    title: str,
    tracking: str,
    cores: int,
    executors: int,
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

    result = run_in_pipeline(
        "xray",
        XrayArgs,
        run_xray,
        {
            "documents": documents,
            "output": output,
            "work_dir": work_dir,
            "title": title,
            "tracking": json.loads(tracking),
            "cores": cores,
            "executors": executors,
        },
        results_configmap,
    )
    Path(page.path).write_bytes(storage.read_bytes(storage.join(result.uri, result.html)))
    for name, value in result.metrics.items():
        metrics.log_metric(name, value)
    return str(result.uri)


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def tokenizer(
    documents: str,
    documents_digest: str,
    output: str,
    work_dir: str,
    tokenizer: str,
    seed: int,
    cores: int,
    results_configmap: str,
) -> NamedTuple("Tokenizer", [("uri", str), ("digest", str)]):
    """Documents to a tokenizer."""
    import json

    from daybreak_contracts.launch import run_in_pipeline
    from daybreak_contracts.steps import TokenizerArgs
    from daybreak_data.tokenizer.step import run_tokenizer

    result = run_in_pipeline(
        "tokenizer",
        TokenizerArgs,
        run_tokenizer,
        {
            "documents": documents,
            "output": output,
            "work_dir": work_dir,
            "tokenizer": json.loads(tokenizer),
            "seed": seed,
            "cores": cores,
        },
        results_configmap,
    )
    return (result.uri, result.digest)


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def shards(
    documents: str,
    documents_digest: str,
    tokenizer: str,
    tokenizer_digest: str,
    output: str,
    work_dir: str,
    context_length: int,
    seed: int,
    cores: int,
    executors: int,
    results_configmap: str,
) -> NamedTuple("Shards", [("uri", str), ("digest", str)]):
    """Documents and a tokenizer to token shards."""
    from daybreak_contracts.launch import run_in_pipeline
    from daybreak_contracts.steps import ShardArgs
    from daybreak_data.shards.step import run_shards

    result = run_in_pipeline(
        "shards",
        ShardArgs,
        run_shards,
        {
            "documents": documents,
            "tokenizer": tokenizer,
            "output": output,
            "work_dir": work_dir,
            "context_length": context_length,
            "seed": seed,
            "cores": cores,
            "executors": executors,
        },
        results_configmap,
    )
    return (result.uri, result.digest)


@dsl.component(base_image=images.TRAIN, install_kfp_package=False)
def export(
    trained: str, trained_digest: str, tokenizer: str, output: str, work_dir: str, results_configmap: str
) -> NamedTuple("Export", [("uri", str), ("digest", str)]):
    """A training artifact to a LlamaForCausalLM folder."""
    from daybreak_contracts.launch import run_in_pipeline
    from daybreak_contracts.steps import ExportArgs
    from daybreak_train.export.step import run_export

    result = run_in_pipeline(
        "export",
        ExportArgs,
        run_export,
        {"trained": trained, "tokenizer": tokenizer, "output": output, "work_dir": work_dir},
        results_configmap,
    )
    return (result.uri, result.digest)


@dsl.component(base_image=images.EVALUATE, install_kfp_package=False)
def evaluate(
    model: str,
    model_digest: str,
    shards: str,
    suites: str,
    gates: str,
    output: str,
    work_dir: str,
    seed: int,
    cores: int,
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

    result = run_in_pipeline(
        "evaluate",
        EvaluateArgs,
        run_evaluate,
        {
            "model": model,
            "shards": shards,
            "suites": json.loads(suites),
            "gates": json.loads(gates),
            "output": output,
            "work_dir": work_dir,
            "seed": seed,
            "cores": cores,
        },
        results_configmap,
    )
    Path(page.path).write_bytes(storage.read_bytes(storage.join(result.uri, "scores.html")))
    for score in result.scores:
        metrics.log_metric(score.metric, score.value)
    return (result.uri, result.digest, len(result.failed_gates))
