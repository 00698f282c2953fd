"""``daybreak doctor``: which languages answers can be run in here, with versions, and what to install for the others.

Owns the command and its table; what works is each runtime's own ``probe``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daybreak_contracts.errors import EXIT_OK, UserError


@dataclass(frozen=True)
class LanguageFinding:
    """One line."""

    language: str
    works: bool
    isolation: str
    version: str
    remedy: str


def add(commands: Any) -> None:
    """Add the command."""
    doctor = commands.add_parser(
        "doctor", help="which languages answers can be run in here, and what to install for the others"
    )
    doctor.add_argument("--json", action="store_true", help="one JSON object")
    doctor.set_defaults(call=lambda options: show(as_json=options.json))


def show(*, as_json: bool) -> int:
    """Print the table."""
    from daybreak_evaluate.runtimes import registry

    sandbox = _sandbox()
    findings = []
    for language in registry.languages():
        runtime = registry.get(language)
        found = runtime.probe()
        findings.append(
            LanguageFinding(language, found.works, str(runtime.isolation), found.version, found.remedy)
        )
    print(as_document(findings, sandbox) if as_json else as_table(findings, sandbox))
    return EXIT_OK


def _sandbox() -> str:
    from daybreak_evaluate.runtimes.boxes.pool import BoxPool

    try:
        with BoxPool([], 1) as pool:
            return str(pool.tier)
    except UserError as error:
        return str(error)


def as_document(findings: Sequence[LanguageFinding], sandbox: str) -> str:
    """Return it for a program."""
    return json.dumps({"sandbox": sandbox, "runtimes": [each.__dict__ for each in findings]}, indent=2)


def as_table(findings: Sequence[LanguageFinding], sandbox: str) -> str:
    """Return it for a person: what works, then what to do for the rest."""
    width = max(len(each.language) for each in findings)
    lines = [f"sandbox: {sandbox}"]
    lines += [
        f"{each.language:<{width}}  works  {each.isolation:<10}  {each.version}"
        for each in findings
        if each.works
    ]
    lines += [f"{each.language:<{width}}  no     {each.remedy}" for each in findings if not each.works]
    return "\n".join(lines)
