"""The two Kubeflow pipelines, with training between them: data (code to shards), model (checkpoint to scores).

Few, solid steps: on a cluster each costs some 25 s besides its work. KFP caches a step by its parameters, and
every parameter that names an artifact has the artifact's digest beside it; the documents step looks at its
sources itself, so KFP must always start it.
"""

from kfp import dsl

from daybreak_contracts.names import DATA_PIPELINE, MODEL_PIPELINE
from daybreak_pipelines import components


@dsl.pipeline(name=DATA_PIPELINE, description="Raw source code to an x-ray, a tokenizer and token shards.")
def data_pipeline(
    data: str,
    tokenizer: str,
    output: str,
    work_dir: str = "/tmp/daybreak",
    title: str = "x-ray",
    tracking: str = "{}",
    context_length: int = 2048,
    seed: int = 0,
    cores: int = 0,
) -> None:
    """Run documents, then x-ray and tokenizer, then shards."""
    made = components.documents(data=data, output=output, work_dir=work_dir, seed=seed, cores=cores)
    made.set_caching_options(False)
    made.set_display_name("Clean documents")
    look = components.xray(
        documents=made.outputs["uri"],
        documents_digest=made.outputs["digest"],
        output=output,
        work_dir=work_dir,
        title=title,
        tracking=tracking,
        cores=cores,
    )
    look.set_display_name("X-ray")
    words = components.tokenizer(
        documents=made.outputs["uri"],
        documents_digest=made.outputs["digest"],
        output=output,
        work_dir=work_dir,
        tokenizer=tokenizer,
        seed=seed,
        cores=cores,
    )
    words.set_display_name("Tokenizer")
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
    )
    pieces.set_display_name("Token shards")


@dsl.pipeline(name=MODEL_PIPELINE, description="A trained checkpoint to a model folder and its scores.")
def model_pipeline(
    trained: str,
    trained_digest: str,
    tokenizer: str,
    shards: str,
    suites: str,
    output: str,
    gates: str = "[]",
    work_dir: str = "/tmp/daybreak",
    seed: int = 0,
    cores: int = 0,
) -> None:
    """Run export, then evaluate."""
    folder = components.export(
        trained=trained,
        trained_digest=trained_digest,
        tokenizer=tokenizer,
        output=output,
        work_dir=work_dir,
    )
    folder.set_display_name("Export")
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
    )
    scores.set_display_name("Evaluate")


PIPELINES = {DATA_PIPELINE: data_pipeline, MODEL_PIPELINE: model_pipeline}
