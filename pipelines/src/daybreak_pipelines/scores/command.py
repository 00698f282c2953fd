"""The command ``daybreak evaluate``: asks the evaluation and prints what it found."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from daybreak_contracts.errors import EXIT_OK
from daybreak_contracts.progress import Progress


def judge_samples(options: argparse.Namespace) -> int:
    """Judge a file of samples and print its scores."""
    from daybreak_evaluate.samples.judge_file import judge_samples_file

    found = judge_samples_file(options.samples, options.suite, judge_options(options), Progress("evaluate"))
    print(json.dumps(found.to_json(), indent=1) if options.json else found.render())
    return EXIT_OK


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
