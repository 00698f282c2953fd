"""The API reference page: every field of both kinds with its type, default, bounds and purpose.

Reads the structural schemas, so the page says what an API server checks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.definitions import crd
from daybreak_contracts.resources.fields import PATTERNS_IN_WORDS

INTRODUCTION = f"""\
<!-- Generated from daybreak_contracts.resources by `make generate`; change the models, not this page. -->
# Reference: the two resources

API group `{names.GROUP}`, version `{names.VERSION}`. The same manifest runs on a cluster (`kubectl apply -f`) and on
one machine (`daybreak run`); `daybreak validate FILE...` says what is wrong with one. Decimals are strings
(`"0.70"`), durations whole seconds. A field without a default is required where it says so, else absent. Unknown
fields are refused.
"""


@dataclass(frozen=True)
class FieldRow:
    """One field of a kind."""

    path: str
    """As ``spec.data.sources[].name``."""
    type: str
    default: str
    """``required``, a JSON value, or nothing."""
    bounds: str
    description: str


def reference_page() -> str:
    """Return the page as Markdown."""
    sections = [INTRODUCTION]
    for kind in crd.KINDS:
        schema = crd.root_schema(kind.model)
        sections.append(f"## {kind.name}\n{schema['description']} Short name `{kind.short}`.\n")
        for part in ("spec", "status"):
            rows = list(rows_of(schema["properties"][part], part))
            sections.append(f"### {kind.name} {part}\n{_table(rows)}")
        sections.append(f"### {kind.name} rules\n{_rules(schema)}")
    return "\n".join(sections)


def rows_of(schema: dict[str, Any], path: str) -> Iterator[FieldRow]:
    """Yield each field below a schema node, depth first in the order of the models."""
    required = schema.get("required", [])
    for name, node in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        default = "required" if name in required else _json(node["default"]) if "default" in node else ""
        yield FieldRow(here, _type(node), default, _bounds(node), node.get("description", ""))
        if node["type"] == "array":
            yield from rows_of(node["items"], f"{here}[]")
        else:
            yield from rows_of(node, here)


def _type(node: dict[str, Any]) -> str:
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    return str(node["type"])


def _bounds(node: dict[str, Any]) -> str:
    """Return the bounds of a value, or of the items of a list."""
    parts = []
    if node["type"] == "array":
        parts.append(f"{node.get('minItems', 0)} to {node['maxItems']} items")
        if node["items"]["type"] != "object":
            parts.append(_bounds(node["items"]))
    if "enum" in node:
        parts.append(" ".join(f"`{value}`" for value in node["enum"]))
    if "minimum" in node:
        parts.append(
            f"{node['minimum']:,} to {node['maximum']:,}" if "maximum" in node else f"from {node['minimum']}"
        )
    if "pattern" in node:
        parts.append(PATTERNS_IN_WORDS[node["pattern"]])
    if "maxLength" in node:
        parts.append(f"at most {node['maxLength']:,} characters")
    return ", ".join(part for part in parts if part)


def _rules(schema: dict[str, Any]) -> str:
    return "".join(f"- {where}: {message}.\n" for where, message in _messages(schema, ""))


def _messages(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get(crd.VALIDATIONS, []):
        yield f"`{path}`" if path else "the object", rule["message"]
    if "x-kubernetes-list-map-keys" in schema and path:
        keys = ", ".join(schema["x-kubernetes-list-map-keys"])
        yield f"`{path}`", f"every {keys} must be used once"
    for name, node in schema.get("properties", {}).items():
        yield from _messages(node, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from _messages(schema["items"], f"{path}[]")


def _table(rows: list[FieldRow]) -> str:
    lines = ["| field | type | default | bounds | what |", "|---|---|---|---|---|"]
    for row in rows:
        default = row.default if row.default in ("", "required") else f"`{row.default}`"
        cells = (f"`{row.path}`", row.type, default, row.bounds, row.description)
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
