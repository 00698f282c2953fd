"""The evaluate step: a model folder to scores.

Owns which suites run on which model, and the artifact. Suites, generation and the judge are next door.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.artifacts import Manifest
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.run import Suite
from daybreak_contracts.steps import EvaluateArgs, EvaluateResult
from daybreak_evaluate import gates, page
from daybreak_evaluate.judge.client import default_workers
from daybreak_evaluate.suites import held_out_completion
from daybreak_evaluate.suites.held_out_completion import HeldOutCompletion
from daybreak_evaluate.suites.humaneval import HumanEval
from daybreak_evaluate.suites.protocol import SuiteOutcome, SuitePlugin
from daybreak_model.token_rows import TokenRows

if TYPE_CHECKING:
    from daybreak_evaluate.generation import LoadedModel

CODE_VERSION = 2
HELD_OUT = "held_out"
NEW_TOKENS_ON_GPU, NEW_TOKENS_ON_CPU = 512, 256
"""HumanEval's longest reference solution has some 250 tokens; the design asks for 512 where time allows."""
PROMPT_TOKENS = 1024
LINE_PROMPT_TOKENS = 384
"""Context of a held-out line: an editor sends about this much, and the processor's time grows with it."""


def run_evaluate(args: EvaluateArgs, progress: Progress) -> EvaluateResult:
    """Score a model on every suite, commit the artifact, and hold the scores against the gates."""
    if not args.suites:
        raise UserError("evaluation.suites is empty: name at least one of HumanEval, HeldOutCompletion")
    suite_names = [suite.name for suite in args.suites]
    if len(set(suite_names)) < len(suite_names):
        raise UserError(f"evaluation.suites: one of {', '.join(suite_names)} is named twice, name it once")
    model_manifest, shards_manifest = _manifest(args.model), _manifest(args.shards)
    in_repository = shards_manifest.result.get("layout") == "Repository"
    gates.check_metrics(args.gates, _known_metrics(args.suites, in_repository=in_repository))
    on_gpu = _has_gpu()
    digest = artifacts.digest_of(
        {
            "step": names.STEP_EVALUATE,
            "code": CODE_VERSION,
            "model": model_manifest.digest,
            "shards": shards_manifest.digest,
            "suites": [suite.model_dump(mode="json") for suite in args.suites],
            "seed": args.seed,
            "newTokens": _new_tokens(on_gpu),
            "humanEval": _data_digest(args.suites),
        }
    )
    uri = artifacts.uri_of(args.output, names.STEP_EVALUATE, digest)

    def write(staging: Path) -> dict[str, Any]:
        outcomes, model = _evaluate(args, model_manifest, shards_manifest, progress)
        _write(staging, outcomes, model)
        scores = tuple(score for outcome in outcomes.values() for score in outcome.scores)
        return EvaluateResult(uri=uri, digest=digest, scores=scores).model_dump(mode="json")

    inputs = {"model": model_manifest.digest, "shards": shards_manifest.digest}
    manifest, cached = artifacts.produce(
        uri, step=names.STEP_EVALUATE, digest=digest, inputs=inputs, work_dir=args.work_dir, write=write
    )
    result = EvaluateResult.model_validate(manifest.result)
    # Gates are no part of the digest: to move one must not cost another evaluation.
    failed = gates.failed_gates(args.gates, result.scores)
    return result.model_copy(update={"uri": uri, "cached": cached, "failed_gates": failed})


def _manifest(uri: str) -> Manifest:
    return artifacts.load(uri)


def _has_gpu() -> bool:
    from daybreak_evaluate.generation import default_device

    return default_device() == "cuda"


def _new_tokens(on_gpu: bool) -> int:
    return NEW_TOKENS_ON_GPU if on_gpu else NEW_TOKENS_ON_CPU


def _data_digest(suites: Sequence[Suite]) -> str:
    from daybreak_evaluate.suites.humaneval import data_sha256

    return data_sha256() if any(suite.name == "HumanEval" for suite in suites) else ""


def _known_metrics(suites: Sequence[Suite], *, in_repository: bool) -> list[str]:
    """Return what the suites will report, without loading a model."""
    known: list[str] = []
    for suite in suites:
        if suite.name == "HumanEval":
            known += _humaneval(suite, 0, on_gpu=False, context_length=0).metrics
        else:
            known += held_out_completion.all_metrics(in_repository=in_repository)
    return known


def _evaluate(
    args: EvaluateArgs, model_manifest: Manifest, shards_manifest: Manifest, progress: Progress
) -> tuple[dict[str, SuiteOutcome], Mapping[str, Any]]:
    from daybreak_evaluate.generation import LoadedModel

    progress.report("loading the model")
    model = LoadedModel(_local(args.model, model_manifest, args.work_dir, ""), cores=args.cores)
    outcomes: dict[str, SuiteOutcome] = {}
    for number, suite in enumerate(args.suites):
        plugin = _plugin(suite, args, model, shards_manifest)

        about_suite = f"{plugin.name} ({number + 1} of {len(args.suites)})"
        part = progress.part(number / len(args.suites), (number + 1) / len(args.suites))
        outcomes[plugin.name] = _run_suite(plugin, model, part, about_suite)
    about = {
        "parameters": f"{sum(weight.numel() for weight in model.model.parameters()):,}",
        "contextLength": model.context_length,
        "digest": model_manifest.digest,
        "device": model.device.type,
    }
    return outcomes, about


def _run_suite(plugin: SuitePlugin[Any], model: LoadedModel, progress: Progress, name: str) -> SuiteOutcome:
    def reporting(first: float, last: float) -> Callable[[str, float, float], None]:
        part = progress.part(first, last)
        return lambda activity, done, total: part.report(f"{name}: {activity}", done, total)

    tasks = plugin.tasks()
    prompts, sampling = plugin.prompts(tasks, model, reporting(0, 0.2))
    completions = model.complete(prompts, sampling, reporting(0.2, 0.8))
    return plugin.judge(tasks, completions, reporting(0.8, 1))


def _plugin(suite: Suite, args: EvaluateArgs, model: LoadedModel, shards: Manifest) -> SuitePlugin[Any]:
    if suite.name == "HumanEval":
        on_gpu = model.device.type == "cuda"
        plugin = _humaneval(suite, args.seed, on_gpu=on_gpu, context_length=model.context_length)
        plugin.workers = 2 * args.cores if args.cores else default_workers()
        return plugin
    return HeldOutCompletion(
        rows=TokenRows(str(_local(args.shards, shards, args.work_dir, HELD_OUT) / HELD_OUT)),
        decode=model.decode,
        end_of_text=model.end_of_text,
        pad=model.pad,
        samples_per_task=suite.samples_per_task,
        max_tasks=suite.max_tasks,
        seed=args.seed,
        max_prompt_tokens=min(LINE_PROMPT_TOKENS, model.context_length // 2),
        marks=model.marks if shards.result.get("layout") == "Repository" else None,
    )


def _humaneval(suite: Suite, seed: int, *, on_gpu: bool, context_length: int) -> HumanEval:
    new_tokens = _new_tokens(on_gpu)
    if context_length:
        new_tokens = min(
            new_tokens, context_length // 2
        )  # a short context is shared by prompt and completion
    return HumanEval(
        samples_per_task=suite.samples_per_task,
        max_tasks=suite.max_tasks,
        seed=seed,
        max_new_tokens=new_tokens,
        max_prompt_tokens=PROMPT_TOKENS,
    )


def _local(uri: str, manifest: Manifest, work_dir: str, below: str) -> Path:
    """Return a local folder with the artifact's files below a folder of it, every one verified."""
    wanted = [entry for entry in manifest.files if entry.path.startswith(below)]
    if not wanted:
        raise ArtifactError(f"{uri}: has no {below}, make it again")
    artifacts.verify(uri, manifest.model_copy(update={"files": tuple(wanted)}))
    if not storage.is_remote(uri):
        return storage.local_path(uri)
    folder = Path(work_dir) / f"evaluate-{manifest.digest[:16]}"
    for entry in wanted:
        storage.copy_file(storage.join(uri, entry.path), str(folder / entry.path))
    return folder


def _write(staging: Path, outcomes: Mapping[str, SuiteOutcome], model: Mapping[str, Any]) -> None:
    scores = [score for outcome in outcomes.values() for score in outcome.scores]
    protocols = {name: dict(outcome.protocol) for name, outcome in outcomes.items()}
    samples = {name: outcome.samples for name, outcome in outcomes.items()}
    storage.write_json(str(staging / "scores.json"), [score.model_dump(mode="json") for score in scores])
    storage.write_json(str(staging / "protocol.json"), {"model": dict(model), "suites": protocols})
    (staging / "samples").mkdir()
    for name, records in samples.items():
        lines = (json.dumps(dict(record)) + "\n" for record in records)
        (staging / "samples" / f"{name}.jsonl").write_text("".join(lines), encoding="ascii")
    text = page.render(scores, protocols, samples, model)
    (staging / "scores.html").write_text(text, encoding="utf-8", errors="replace")
