"""Parts of an object as somebody stored it: absent or of another kind is empty, and nothing is raised."""

from __future__ import annotations

from collections.abc import Mapping

Stored = Mapping[str, object]


def mapping(value: object) -> Stored:
    """Return a mapping as it is; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def part(whole: Stored, name: str) -> Stored:
    """Return a mapping that stands in another one; an empty one where there is none."""
    return mapping(whole.get(name))


def items(whole: Stored, name: str) -> list[Stored]:
    """Return the mappings of a list that stands in a mapping."""
    found = whole.get(name)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list | tuple) else []
