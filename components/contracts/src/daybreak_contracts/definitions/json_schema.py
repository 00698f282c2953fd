"""JSON schemas of both kinds for editors: completion and red lines while a manifest is written.

An editor finds them by the first line of a manifest (``# yaml-language-server: $schema=...``). Rules between
fields need CEL and are left out: ``daybreak validate`` and the API server hold them.
"""

from __future__ import annotations

import json
from typing import Any

from daybreak_contracts.resources.fields import Resource

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def editor_schema(model: type[Resource]) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a kind, without the parts that only an API server reads."""
    schema = _plain(model.model_json_schema(by_alias=True))
    return {"$schema": DIALECT, "title": model.__name__, **schema}


def editor_schema_json(model: type[Resource]) -> str:
    """Return the schema as JSON text, the same for the same models."""
    return json.dumps(editor_schema(model), indent=2, ensure_ascii=False) + "\n"


def _plain(node: Any) -> Any:
    """Drop extensions, and the titles that pydantic makes of field names."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for key, value in node.items():
        if key == "properties":
            kept[key] = {name: _plain(item) for name, item in value.items()}
        elif key == "$defs":
            kept[key] = {name: _plain(item) for name, item in sorted(value.items())}
        elif key == "default":
            kept[key] = value
        elif key != "title" and not key.startswith("x-"):
            kept[key] = _plain(value)
    return kept
