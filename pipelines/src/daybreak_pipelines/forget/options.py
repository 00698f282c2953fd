"""What ``daybreak forget`` is asked by: its grammar and its call. Loads nothing heavy before it is called."""

from __future__ import annotations

import argparse
from typing import Any


def add(commands: Any) -> None:
    """Add the command to the grammar."""
    forget = commands.add_parser(
        "forget", help="say which artifacts of runs hold documents, and take them out where that can be done"
    )
    forget.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run's output folder, name or manifest, or a model folder"
    )
    for flag, metavar, said in (
        ("--repository", "R", "a repository as reports name it, as owner/name"),
        ("--owner", "O", "what stands before the / of a repository's name"),
        ("--path", "GLOB", "paths in any repository: * stays in a folder, ** does not"),
        ("--document-id", "ID", "a document by the SHA-256 of its text"),
    ):
        forget.add_argument(
            flag,
            action="append",
            default=[],
            metavar=metavar,
            help=f"{said}; again for more, any of them names it",
        )
    forget.add_argument("--dry-run", action="store_true", help="only list what holds them")
    forget.add_argument("--yes", action="store_true", help="take them out; nothing else is asked")
    forget.add_argument("--kubeconfig", metavar="FILE", help="the cluster whose deployments are asked")
    forget.set_defaults(call=_forget)


def _forget(options: argparse.Namespace) -> int:
    from datetime import UTC, datetime

    from daybreak_pipelines.forget.command import Request, forget, rule_of

    rule = rule_of(
        {
            "repositories": options.repository,
            "owners": options.owner,
            "paths": options.path,
            "documentIds": options.document_id,
        }
    )
    request = Request(rule, options.dry_run, options.yes, options.kubeconfig)
    return forget(options.runs, request, lambda: datetime.now(UTC).isoformat(timespec="seconds"), print)
