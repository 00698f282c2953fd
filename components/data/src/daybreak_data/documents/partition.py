"""Cuts the listing of a source into pieces of equal work, one per task. Pure.

The cut depends on the listing alone, never on the number of cores: a piece becomes one part of the artifact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from daybreak_data.rules.headers import header_languages
from daybreak_data.sources import FileRef
from daybreak_data.sources.entries import CONTAINERS, MAX_FILE_BYTES

PIECE_BYTES = 8 << 20
FILE_COST_BYTES = 2048
"""Opening a file costs about as much as reading so many bytes; 100,000 tiny files make 25 pieces."""
MAX_PIECES = 4096


@dataclass(frozen=True)
class Piece:
    """What one task reads, in the order of the listing."""

    index: int
    refs: tuple[FileRef, ...]
    cost: int
    """In bytes."""
    headers: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Repository and path of the headers that the sources around them say are not C (rules/headers.py)."""


def cut(refs: Iterable[FileRef], piece_bytes: int = PIECE_BYTES) -> list[Piece]:
    """Return pieces of about ``piece_bytes`` (more when there would be too many), the costly ones first."""
    known = [(ref, _cost(ref)) for ref in refs]
    bound = max(piece_bytes, sum(cost for _, cost in known) // MAX_PIECES + 1)
    groups: list[tuple[int, list[FileRef]]] = []
    cost_so_far = 0
    group: list[FileRef] = []
    for ref, cost in known:
        if group and cost_so_far + cost > bound:
            groups.append((cost_so_far, group))
            cost_so_far, group = 0, []
        group.append(ref)
        cost_so_far += cost
    if group:
        groups.append((cost_so_far, group))
    groups.sort(key=lambda item: -item[0])  # stable: equal costs keep the order of the listing
    languages = header_languages((ref.repository, ref.path) for ref, _ in known if ref.kind not in CONTAINERS)
    return [
        Piece(index, tuple(group), cost, _those_of(languages, group))
        for index, (cost, group) in enumerate(groups)
    ]


def _those_of(languages: Mapping[tuple[str, str], str], group: list[FileRef]) -> dict[tuple[str, str], str]:
    places = ((ref.repository, ref.path) for ref in group)
    return {place: languages[place] for place in places if place in languages}


def _cost(ref: FileRef) -> int:
    unread = ref.kind not in CONTAINERS and ref.size > MAX_FILE_BYTES
    return FILE_COST_BYTES + (0 if unread else ref.size)
