"""The command ``daybreak evaluate``: asks the evaluation and prints what it found."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from daybreak_contracts import storage
from daybreak_contracts.errors import EXIT_OK, UserError
from daybreak_contracts.names import STEP_EVALUATE
from daybreak_contracts.progress import Progress


def judge_samples(options: argparse.Namespace) -> int:
    """Judge a file of samples and print its scores."""
    from daybreak_evaluate.samples.judge_file import judge_samples_file

    found = judge_samples_file(options.samples, options.suite, judge_options(options), Progress("evaluate"))
    print(json.dumps(found.to_json(), indent=1) if options.json else found.render())
    return EXIT_OK


def compare(options: argparse.Namespace) -> int:
    """Hold two models against each other, task by task; print and write the page."""
    from daybreak_evaluate.comparison import page, paired, records

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
    storage.write_bytes(str(options.page), page.build(names, found).encode("utf-8", "replace"))
    if options.json:
        print(json.dumps([compared.to_json() for compared, _, _ in found], indent=1))
    else:
        print(f"A: {names[0]}\nB: {names[1]}")
        print("\n".join(compared.sentence() for compared, _, _ in found))
        print(f"page: {options.page}")
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
    from daybreak_evaluate.samples.judge_file import JudgeOptions

    limits = SandboxLimits(timeout_s=options.timeout)
    if options.memory is not None:
        limits = replace(limits, memory_bytes=options.memory)
    return JudgeOptions(
        ks=options.k,
        limits=limits,
        workers=options.workers,
        output=options.output,
        sanitize=options.sanitize,
    )
