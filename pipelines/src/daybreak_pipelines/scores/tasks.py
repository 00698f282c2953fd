"""``daybreak tasks``: its grammar and its call. Loads nothing heavy before it is called."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from daybreak_contracts.errors import EXIT_OK
from daybreak_contracts.progress import Progress
from daybreak_pipelines import option_values

DEFAULT_LIMIT = 100


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    tasks = commands.add_parser("tasks", help="make evaluation problems of a repository and its tests")
    tasks.add_argument(
        "repository", type=Path, metavar="REPOSITORY", help="a folder with Python and its tests"
    )
    tasks.add_argument("--output", type=Path, required=True, metavar="FILE.jsonl", help="the file to write")
    tasks.add_argument(
        "--limit",
        type=option_values.positive,
        default=DEFAULT_LIMIT,
        metavar="N",
        help="functions at most (default: 100)",
    )
    tasks.set_defaults(call=_tasks)


def _tasks(options: argparse.Namespace) -> int:
    from daybreak_evaluate.runtimes.in_repository.write_tasks import write_tasks

    print(write_tasks(options.repository, options.output, options.limit, Progress("tasks")))
    return EXIT_OK
