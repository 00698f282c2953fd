"""The command ``daybreak evaluate``: asks the evaluation and prints what it found."""

from __future__ import annotations

import argparse
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from daybreak_contracts import storage
from daybreak_contracts.errors import EXIT_OK, UserError
from daybreak_contracts.names import STEP_EVALUATE, STEP_EXPORT, STEP_SHARDS
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.evaluation import Suite

DEFAULT_PAGE = Path("compare.html")
KEY_VARIABLE = "OPENAI_API_KEY"


def judge_samples(options: argparse.Namespace) -> int:
    """Judge a file of samples and print its scores."""
    from daybreak_evaluate.samples.judge_file import judge_samples_file

    if len(options.suite) > 1:
        raise UserError(f"--samples takes one suite, got {', '.join(options.suite)}")
    found = judge_samples_file(
        options.samples, options.suite[0], judge_options(options), Progress("evaluate")
    )
    print(json.dumps(found.to_json(), indent=1) if options.json else found.render())
    return EXIT_OK


def score(options: argparse.Namespace) -> int:
    """Ask a model or a server on suites, print its scores, write a folder with samples and a page."""
    from daybreak_evaluate import subject

    folder = options.output if options.output is not None else Path(f"scores-{_slug(options.subject)}")
    suites = _suites(options)
    found = subject.score(
        _subject(options, folder),
        suites,
        subject.Options(folder, workers=options.workers),
        Progress("evaluate"),
    )
    if options.json:
        print(json.dumps([one.model_dump(mode="json") for one in found], indent=1))
    else:
        for one in found:
            print(
                f"{one.metric}: {one.value:.4f}, 95 % interval {one.low:.4f} to {one.high:.4f}, "
                f"over {one.num_tasks} tasks"
            )
        print(f"page: {folder / 'scores.html'}")
    return EXIT_OK


def _suites(options: argparse.Namespace) -> list[Suite]:
    """Return the suites that were named."""
    from daybreak_evaluate.suites import registry

    return [
        Suite(
            name=registry.found_name(name),
            samples_per_task=options.samples_per_task or 1,
            max_tasks=options.max_tasks,
        )
        for name in options.suite
    ]


def _subject(options: argparse.Namespace, folder: Path) -> Any:
    from daybreak_evaluate import subject
    from daybreak_evaluate.endpoint import ModelServer
    from daybreak_pipelines.local import record

    name = options.subject
    if name.startswith(("http://", "https://")):
        return subject.of_server(ModelServer(name, options.model or "", os.environ.get(KEY_VARIABLE, "")))
    if options.model:
        raise UserError("--model names a model of a server; a run or a folder has one")
    if storage.exists(storage.join(name, "config.json")):
        return subject.of_folder(name, folder)
    results = record.read(record.find_output(name)).results
    if STEP_EXPORT not in results:
        raise UserError(f"{name}: the run made data alone, it has no model")
    shards = results.get(STEP_SHARDS, {}).get("uri")
    return subject.of_folder(str(results[STEP_EXPORT]["uri"]), folder, shards)


def _slug(name: str) -> str:
    """Return a name as a part of a path."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name.partition("://")[2] or name).strip("-.") or "model"


def compare(options: argparse.Namespace) -> int:
    """Hold two models against each other, task by task; print and write the page."""
    from daybreak_evaluate.comparison import page, paired, records

    where = options.page if options.page is not None else DEFAULT_PAGE
    names: tuple[str, str] = tuple(options.compare)
    a, b = (records.read(_evaluation_of(name)) for name in names)
    found = [
        (compared, first, second)
        for suite, first, second in records.paired(a, b)
        for metric, rates in records.measures(suite, first).items()
        if (compared := paired.compare(metric, rates, records.measures(suite, second).get(metric, {})))
    ]
    if not found:
        raise UserError(
            f"{names[0]} ({', '.join(a)}) and {names[1]} ({', '.join(b)}) have no task in common; "
            "evaluate both on one suite"
        )
    storage.write_bytes(str(where), page.build(names, found).encode("utf-8", "replace"))
    if options.json:
        print(json.dumps([compared.to_json() for compared, _, _ in found], indent=1))
    else:
        print(f"A: {names[0]}\nB: {names[1]}")
        print("\n".join(compared.sentence() for compared, _, _ in found))
        print(f"page: {where}")
    return EXIT_OK


def _evaluation_of(name: str) -> str:
    """Return the result file or evaluation folder that a person means, which may be a run's."""
    from daybreak_pipelines.local.record import FILE, find_output, read

    if name.endswith(".jsonl") or storage.exists(storage.join(name, "samples")):
        return name
    output = find_output(name)
    if not storage.exists(storage.join(output, FILE)):
        return name
    evaluated = read(output).results.get(STEP_EVALUATE)
    if evaluated is None:
        raise UserError(f"{name}: the run was not evaluated, it has no model")
    return str(evaluated["uri"])


def judge_options(options: argparse.Namespace) -> Any:
    """Return the judge's settings."""
    from daybreak_evaluate.judge.values import SandboxLimits
    from daybreak_evaluate.passk import KS
    from daybreak_evaluate.samples.judge_file import JudgeOptions

    limits = SandboxLimits()
    if options.timeout is not None:
        limits = replace(limits, timeout_s=options.timeout)
    if options.memory is not None:
        limits = replace(limits, memory_bytes=options.memory)
    return JudgeOptions(
        ks=options.k if options.k is not None else KS,
        limits=limits,
        workers=options.workers,
        output=options.output,
        sanitize=options.sanitize,
    )
