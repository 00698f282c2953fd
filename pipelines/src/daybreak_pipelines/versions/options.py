"""What ``daybreak diff`` is asked by: its grammar and its call. Loads nothing heavy before it is called."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    diff = commands.add_parser("diff", help="say which documents differ between two versions of a data set")
    for name in ("before", "after"):
        diff.add_argument(
            name,
            metavar=name.upper(),
            help="a run's output folder, name or manifest, or a documents artifact",
        )
    diff.add_argument(
        "--page", type=Path, default=Path("diff.html"), metavar="FILE", help="default: diff.html"
    )
    diff.add_argument("--json", action="store_true", help="one JSON object")
    diff.add_argument(
        "--track",
        nargs="?",
        const="",
        metavar="URI",
        help="record it in MLflow at URI (without one: in a local store beside the page)",
    )
    diff.set_defaults(call=_diff)


def _diff(options: argparse.Namespace) -> int:
    from daybreak_pipelines.versions.command import diff_versions

    return diff_versions(
        options.before, options.after, options.page, as_json=options.json, tracking=options.track
    )
