"""What a cluster's definitions of our kinds lack of what this operator writes and reads.

Owns the comparison; asks nobody. An API server drops fields that its definition does not know, without a word: what a
person wrote would not count, and what the operator notes in a status would be lost at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
"""A node of an OpenAPI v3 schema, as a definition writes it."""


def lacking(ours: Schema, served: Schema) -> list[str]:
    """Return the fields of ours that are not served, as ``spec.training.guard``, and values, as ``spec.size=7b``.

    Of a field that is missing as a whole nothing below it is named. What is served and not ours is newer: fine.
    """
    return list(_below(ours, served, ""))


def _below(ours: Schema, served: Schema, place: str) -> Iterator[str]:
    known = served.get("enum")
    if known is not None:
        yield from (f"{place}={value}" for value in ours.get("enum", ()) if value not in known)
    if served.get("x-kubernetes-preserve-unknown-fields"):
        return
    fields = served.get("properties", {})
    for name, field in ours.get("properties", {}).items():
        path = f"{place}.{name}".removeprefix(".")
        if name in fields:
            yield from _below(field, fields[name], path)
        else:
            yield path
    if "items" in ours and "items" in served:
        yield from _below(ours["items"], served["items"], f"{place}[]")
