"""The take-back list of an output: what ``daybreak forget`` took out, so that no later run brings it in again.

``forgotten.jsonl`` at the top of the output; a line has the fields of ``data.exclude``, and means the same.
"""

from __future__ import annotations

import json

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import Data, Exclusion
from daybreak_contracts.steps import DocumentsArgs

FILE = "forgotten.jsonl"


def read(output: str) -> list[Exclusion]:
    """Return the rules of an output, oldest first; a line that is none is a UserError, so that none is overlooked."""
    location = storage.join(output, FILE)
    if not storage.exists(location):
        return []
    found = []
    for number, line in enumerate(storage.read_bytes(location).decode().splitlines(), 1):
        try:
            found.append(Exclusion.model_validate_json(line))
        except ValueError as error:
            raise UserError(
                f"{location}: line {number} is no rule as in data.exclude, mend it: what was taken back must stay out"
            ) from error
    return found


def add(output: str, rule: Exclusion) -> None:
    """Add a rule to the list of an output; one that is there is not added again."""
    rules = read(output)
    if rule in rules:
        return
    lines = [json.dumps(as_rows(one), sort_keys=True, ensure_ascii=False) for one in [*rules, rule]]
    storage.write_bytes(storage.join(output, FILE), ("\n".join(lines) + "\n").encode())


def as_rows(rule: Exclusion) -> dict[str, list[str]]:
    """Return what a rule names, as ``data.exclude`` has it."""
    named = rule.model_dump(mode="json", by_alias=True)
    return {key: list(value) for key, value in named.items() if value}


def obeyed(args: DocumentsArgs) -> DocumentsArgs:
    """Return the arguments with the output's list as if it stood in ``data.exclude``."""
    rules = read(args.output)
    if not rules:
        return args
    return args.model_copy(update={"data": _excluding(args.data, rules)})


def _excluding(data: Data, rules: list[Exclusion]) -> Data:
    every = [data.exclude, *rules]
    merged = {
        name: tuple(dict.fromkeys(value for rule in every for value in getattr(rule, name)))
        for name in Exclusion.model_fields
    }
    return data.model_copy(update={"exclude": data.exclude.model_copy(update=merged)})
