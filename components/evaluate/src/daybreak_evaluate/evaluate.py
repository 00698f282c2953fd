"""The evaluate step: a model folder to scores.

Owns which suites run on which model, and the artifact. Suites, generation and the judge are next door.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.artifacts import Manifest
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import EvaluateArgs, EvaluateResult
from daybreak_evaluate import gates, page
from daybreak_evaluate.suites import registry
from daybreak_evaluate.suites.protocol import Completer, SuiteOutcome, SuitePlugin
from daybreak_evaluate.suites.settings import SuiteContext

if TYPE_CHECKING:
    from daybreak_evaluate.generation import LoadedModel

CODE_VERSION = 3
HELD_OUT = "held_out"
NEW_TOKENS_ON_GPU, NEW_TOKENS_ON_CPU = 512, 256
"""HumanEval's longest reference solution has some 250 tokens; the design asks for 512 where time allows."""
PROMPT_TOKENS = 1024


def run_evaluate(args: EvaluateArgs, progress: Progress) -> EvaluateResult:
    """Score a model on every suite, commit the artifact, and hold the scores against the gates."""
    if not args.suites:
        raise UserError(
            f"evaluation.suites is empty: name at least one of {', '.join(registry.known_names())}, or give problems"
        )
    suite_names = [suite.name for suite in args.suites]
    if len(set(suite_names)) < len(suite_names):
        raise UserError(f"evaluation.suites: one of {', '.join(suite_names)} is named twice, name it once")
    model_manifest, shards_manifest = _manifest(args.model), _manifest(args.shards)
    session = _Session(args, model_manifest, shards_manifest, progress)
    made = registry.make_all(args.suites, session.context())
    gates.check_metrics(args.gates, [metric for plugin, _ in made for metric in plugin.metrics])
    digest = artifacts.digest_of(
        {
            "step": names.STEP_EVALUATE,
            "code": CODE_VERSION,
            "model": model_manifest.digest,
            "shards": shards_manifest.digest,
            "suites": [_identity(plugin, package) for plugin, package in made],
        }
    )
    uri = artifacts.uri_of(args.output, names.STEP_EVALUATE, digest)

    def write(staging: Path) -> dict[str, Any]:
        outcomes = run_suites([plugin for plugin, _ in made], session.model, progress)
        write_outcomes(staging, outcomes, session.about())
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


def _identity(plugin: SuitePlugin[Any], package: str) -> dict[str, Any]:
    """Return what a suite's scores depend on; a plug-in's package with its version, whatever its fingerprint says."""
    return {"name": plugin.name, "package": package, "fingerprint": dict(plugin.fingerprint)}


class _Session:
    """The model and the rows of one evaluation, fetched and loaded when a suite first asks for them."""

    def __init__(
        self, args: EvaluateArgs, model_manifest: Manifest, shards_manifest: Manifest, progress: Progress
    ) -> None:
        self.model_manifest = model_manifest
        self._args = args
        self._shards = shards_manifest
        self._progress = progress
        self.model = functools.cache(self._load)

    def context(self) -> SuiteContext:
        """Return what suites are told; the model's context is known without loading it."""
        context_length = int(self._config()["max_position_embeddings"])
        return SuiteContext(
            seed=self._args.seed,
            # a short context is shared by prompt and completion
            max_new_tokens=min(new_tokens(), context_length // 2),
            max_prompt_tokens=PROMPT_TOKENS,
            context_length=context_length,
            workers=2 * self._args.cores,
            work_dir=self._args.work_dir,
            in_repository=self._shards.result.get("layout") == "Repository",
            held_out=self._held_out,
            model=self.model,
        )

    def about(self) -> dict[str, Any]:
        """Return what the page says of the model."""
        model = self.model()
        return {
            "parameters": f"{sum(weight.numel() for weight in model.model.parameters()):,}",
            "contextLength": model.context_length,
            "digest": self.model_manifest.digest,
            "device": model.device.type,
        }

    def _config(self) -> dict[str, Any]:
        location = storage.join(self._args.model, "config.json")
        config = storage.read_json(location)
        if not isinstance(config, dict) or "max_position_embeddings" not in config:
            raise ArtifactError(f"{location}: has no max_position_embeddings, export the model again")
        return config

    def _load(self) -> LoadedModel:
        from daybreak_evaluate.generation import LoadedModel

        self._progress.report("loading the model")
        folder = _local(self._args.model, self.model_manifest, self._args.work_dir, "")
        return LoadedModel(folder, cores=self._args.cores)

    def _held_out(self) -> Path:
        return _local(self._args.shards, self._shards, self._args.work_dir, HELD_OUT) / HELD_OUT


def new_tokens() -> int:
    """Return how many tokens a model of ours may write for an answer here."""
    from daybreak_evaluate.generation import default_device

    return NEW_TOKENS_ON_GPU if default_device() == "cuda" else NEW_TOKENS_ON_CPU


def run_suites(
    plugins: Sequence[SuitePlugin[Any]], model: Callable[[], Completer], progress: Progress
) -> dict[str, SuiteOutcome]:
    """Ask a model on suites; it is loaded when the first of them has its tasks."""
    outcomes: dict[str, SuiteOutcome] = {}
    for number, plugin in enumerate(plugins):
        about_suite = f"{plugin.name} ({number + 1} of {len(plugins)})"
        part = progress.part(number / len(plugins), (number + 1) / len(plugins))
        outcomes[plugin.name] = _run_suite(plugin, model, part, about_suite)
    return outcomes


def _run_suite(
    plugin: SuitePlugin[Any], model: Callable[[], Completer], progress: Progress, name: str
) -> SuiteOutcome:
    def reporting(first: float, last: float) -> Callable[[str, float, float], None]:
        part = progress.part(first, last)
        return lambda activity, done, total: part.report(f"{name}: {activity}", done, total)

    tasks = plugin.tasks(reporting(0, 0.1))
    prompts, sampling = plugin.prompts(tasks, model(), reporting(0.1, 0.2))
    completions = model().complete(prompts, sampling, reporting(0.2, 0.8))
    return plugin.judge(tasks, completions, reporting(0.8, 1))


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


def write_outcomes(staging: Path, outcomes: Mapping[str, SuiteOutcome], model: Mapping[str, Any]) -> None:
    """Write scores, protocol, samples and the page into a folder."""
    scores = [score for outcome in outcomes.values() for score in outcome.scores]
    protocols = {name: dict(outcome.protocol) for name, outcome in outcomes.items()}
    samples = {name: outcome.samples for name, outcome in outcomes.items()}
    storage.write_json(str(staging / "scores.json"), [score.model_dump(mode="json") for score in scores])
    storage.write_json(str(staging / "protocol.json"), {"model": dict(model), "suites": protocols})
    (staging / "samples").mkdir(exist_ok=True)
    for name, records in samples.items():
        lines = (json.dumps(dict(record)) + "\n" for record in records)
        (staging / "samples" / f"{name}.jsonl").write_text("".join(lines), encoding="ascii")
    text = page.render(scores, protocols, samples, model)
    (staging / "scores.html").write_text(text, encoding="utf-8", errors="replace")
