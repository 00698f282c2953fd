"""The command ``daybreak run``: model, a smoke of serving, the report. Decides where local things lie."""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import cast

from daybreak_contracts import arguments, names, steps, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.planning.data_amount import DataAmount
from daybreak_contracts.planning.plan import TrainingPlan, asked_hardware, plan_of
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.resources.training import Training, TrainTokenizer
from daybreak_pipelines import plan
from daybreak_pipelines.local import record
from daybreak_pipelines.local.display import display_for
from daybreak_pipelines.local.runner import Runner, exclusive
from daybreak_pipelines.report import page as report
from daybreak_pipelines.report import planned
from daybreak_pipelines.report.planner import SHOWN, Need, need

REPORT = "report.html"
PROMPTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "python": (
        ('def read_json(path):\n    """Read a JSON file."""\n    with open(', ""),
        (
            "class Point:\n    def __init__(self, x, y):\n        ",
            "\n\n    def norm(self):\n        return self.x",
        ),
    ),
    "javascript": (("function sum(values) {\n  return ", "\n}\n"),),
    "c": (("#include <stdio.h>\n\nint main(void) {\n  ", "\n  return 0;\n}\n"),),
}
"""What the smoke of serving asks (prompt, suffix), by the first of these languages that the run was trained on."""


def run_manifest(manifest: Path, cores: int) -> int:
    """Run a manifest the whole way and return the exit code. Every path in it is relative to the current folder.

    The whole way of a manifest that names no model ends with its data.
    """
    run = _load(manifest)
    if run.spec.model is None:
        return _make_data(run, cores)
    with _runner(run, cores, plan.STEPS) as runner:
        try:
            runner.make_model()
            completions = _smoke(runner)
        finally:
            runner.close()
        return _conclude(runner, completions)


def data_of_manifest(manifest: Path, cores: int) -> int:
    """Make the data of a manifest alone, whatever model it names: documents, x-ray, tokenizer, shards."""
    return _make_data(_load(manifest), cores)


def _make_data(run: TrainingRun, cores: int) -> int:
    """Make a run's data and tell the person what there is. What a later run needs of it is found by its digests."""
    with _runner(run, cores, plan.DATA_STEPS) as runner:
        try:
            runner.make_data()
        finally:
            runner.close()
        results = runner.results
    xray = cast(steps.XrayResult, results[names.STEP_XRAY])
    shards = cast(steps.ShardResult, results[names.STEP_SHARDS])
    made = {
        "documents": results[names.STEP_DOCUMENTS].uri,
        "x-ray": storage.join(xray.uri, xray.html),
        "tokenizer": results[names.STEP_TOKENIZER].uri,
        "shards": f"{shards.uri} ({shards.num_train_tokens:,} tokens to train on)",
    }
    print("\n".join(f"{f'{title}:':<11}{place}" for title, place in made.items()))
    return 0


def _load(manifest: Path) -> TrainingRun:
    from daybreak_contracts.manifests.validate import load_run

    run = load_run(manifest)
    if run.spec.suspend:
        raise UserError(f"{manifest}: spec.suspend is true, set it to false to run")
    return run


@contextlib.contextmanager
def _runner(run: TrainingRun, cores: int, wanted: tuple[str, ...]) -> Iterator[Runner]:
    """Hold the run's output for one that runs these steps; a termination ends it like Ctrl-C."""
    settings = settings_of(run, cores)
    signal.signal(signal.SIGTERM, _interrupt)
    with exclusive(Path(settings.work_dir)):
        yield Runner(run, settings, display_for(sys.stderr, wanted), os.environ, wanted)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Meet a termination like Ctrl-C: children are stopped on the way out."""
    del frame
    raise KeyboardInterrupt(signal.Signals(number).name)


def settings_of(run: TrainingRun, cores: int) -> arguments.RunSettings:
    """Return where a run on this machine happens."""
    output = run.spec.output.uri
    if storage.is_remote(output):
        return arguments.RunSettings(output, str(Path(".daybreak", run.metadata.name).absolute()), cores)
    folder = storage.local_path(output).absolute()
    return arguments.RunSettings(str(folder), str(folder / ".work"), cores)


def _smoke(runner: Runner) -> list[report.Completion]:
    """Serve the model and ask it; a model that failed its gates is not served."""
    evaluated = cast(steps.EvaluateResult, runner.results[names.STEP_EVALUATE])
    if evaluated.failed_gates:
        return []
    from daybreak_serve.local import client, serving

    found = []
    with runner.step(plan.STEP_SERVE, "starting Triton and the gateway"):
        model = runner.results[names.STEP_EXPORT].uri
        with serving.serve(model, work_dir=Path(runner.settings.work_dir) / "serve", port=0) as served:
            for prompt, suffix in _prompts(runner.run):
                began = time.monotonic()
                answer = client.complete(served.url, prompt=prompt, suffix=suffix or None, max_tokens=32)
                seconds = time.monotonic() - began
                found.append(
                    report.Completion(prompt, suffix, answer.text, seconds, answer.completion_tokens)
                )
    return found


def _prompts(run: TrainingRun) -> tuple[tuple[str, str], ...]:
    for language in run.spec.data.languages:
        if language in PROMPTS:
            return PROMPTS[language]
    return PROMPTS["c"]


def _conclude(runner: Runner, completions: list[report.Completion]) -> int:
    """Write the report and the record, tell the person what there is, return the exit code."""
    evaluated = cast(steps.EvaluateResult, runner.results[names.STEP_EVALUATE])
    plan = _plan(runner)
    page = report.build(_values(runner, completions, plan))
    location = storage.join(runner.settings.output, REPORT)
    storage.write_bytes(location, page.encode())
    exported = runner.results[names.STEP_EXPORT]
    published = None
    if not evaluated.failed_gates:
        published = record.PublishedModel(uri=exported.uri, digest=exported.digest)
    record.write(
        runner.settings.output,
        record.RunRecord(
            name=runner.run.metadata.name,
            model=published,
            failed_gates=evaluated.failed_gates,
            results={step: result.model_dump(mode="json") for step, result in runner.results.items()},
            seconds={step: round(seconds, 1) for step, seconds in runner.seconds.items()},
            peak_bytes=runner.peak_bytes,
            plan=plan,
        ),
    )
    if evaluated.failed_gates:
        print(f"report: {location}", file=sys.stderr)
        raise UserError(f"GateFailed: trained, but not published: {'; '.join(evaluated.failed_gates)}")
    for item in completions[:1]:
        print(f"{item.prompt}\x1b[1m{item.text}\x1b[0m{item.suffix}" if sys.stdout.isatty() else item.text)
    output = shlex.quote(runner.run.spec.output.uri)
    print(f"model:  {exported.uri}\nreport: {location}\nserve:  daybreak serve {output}")
    return 0


def _values(runner: Runner, completions: list[report.Completion], plan: TrainingPlan) -> report.Values:
    results = runner.results
    trained = cast(steps.TrainResult, results[names.STEP_TRAIN])
    ledger = report.read_ledger(storage.read_bytes(storage.join(trained.uri, "ledger.jsonl")))
    shown = storage.join(trained.uri, "examples.json")
    examples = storage.read_json(shown) if storage.exists(shown) else []
    tokenizer = cast(steps.TokenizerResult, results[names.STEP_TOKENIZER])
    model = runner.run.spec.wanted_model()
    return report.Values(
        name=runner.run.metadata.name,
        documents=cast(steps.DocumentsResult, results[names.STEP_DOCUMENTS]),
        read_bytes=int(cast(steps.XrayResult, results[names.STEP_XRAY]).metrics["read_bytes"]),
        tokenizer=tokenizer,
        shards=cast(steps.ShardResult, results[names.STEP_SHARDS]),
        trained=trained,
        exported=cast(steps.ExportResult, results[names.STEP_EXPORT]),
        evaluated=cast(steps.EvaluateResult, results[names.STEP_EVALUATE]),
        size=model.size or "custom",
        ledger=report.losses(ledger),
        examples=report.read_examples(examples),
        generations=report.generations(ledger),
        findings=report.findings(ledger),
        completions=completions,
        seconds=runner.seconds,
        peak_bytes=runner.peak_bytes,
        cached=frozenset(step for step, result in results.items() if result.cached),
        needs=_needs(tokenizer),
        planned=_planned(runner, plan),
        links=_links(runner),
        machine=f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    )


def _plan(runner: Runner) -> TrainingPlan:
    """Return what was measured before the run, else what follows from its manifest and shards."""
    shards = cast(steps.ShardResult, runner.results[names.STEP_SHARDS])
    data = DataAmount(
        shards.num_train_tokens,
        shards.num_train_samples,
        f"the shards {shards.uri}",
        shards.unique_train_tokens,
    )
    tokenizer = cast(steps.TokenizerResult, runner.results[names.STEP_TOKENIZER])
    spec = runner.run.spec
    fresh = plan_of(spec, asked_hardware(spec.training), data, vocabulary_size=tokenizer.vocabulary_size)
    return planned.chosen(record.kept_plan(runner.settings.work_dir), fresh)


def _planned(runner: Runner, plan: TrainingPlan) -> list[planned.PlannedRow]:
    trained = cast(steps.TrainResult, runner.results[names.STEP_TRAIN])
    seconds = None if trained.cached else runner.seconds.get(names.STEP_TRAIN)
    return planned.rows(plan, trained, seconds)


def _needs(tokenizer: steps.TokenizerResult) -> list[Need]:
    ratios = tokenizer.bytes_per_token.values()
    bytes_per_token = sum(ratios) / len(ratios) if ratios else 3.5
    vocabulary, context = TrainTokenizer().vocabulary_size, Training().context_length
    return [need(size, vocabulary, context, bytes_per_token) for size in SHOWN]


def _links(runner: Runner) -> dict[str, str]:
    """Return the pages beside the report, relative to it."""
    xray = cast(steps.XrayResult, runner.results[names.STEP_XRAY])
    pages = {
        "x-ray of the data": storage.join(xray.uri, xray.html),
        "scores and samples": storage.join(runner.results[names.STEP_EVALUATE].uri, "scores.html"),
        "model folder": runner.results[names.STEP_EXPORT].uri,
    }
    prefix = runner.settings.output.rstrip("/") + "/"
    return {title: uri.removeprefix(prefix) for title, uri in pages.items()}
