"""What a mixture came to: asked against written, by source and by language. Pure.

Owns the sums. Bytes are those of the documents' text, tokens those of the shards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from daybreak_contracts.steps import MixtureShare
from daybreak_data.shards.mixture import Mixture

Group = tuple[str, str]
"""Source and language of documents."""


@dataclass(frozen=True)
class Written:
    """What was written of a group of documents."""

    num_bytes: int = 0
    tokens: int = 0
    unique_tokens: int = 0
    """Those of first copies."""

    def __add__(self, other: Written) -> Written:
        return Written(
            self.num_bytes + other.num_bytes,
            self.tokens + other.tokens,
            self.unique_tokens + other.unique_tokens,
        )


def summed(rows: Iterable[tuple[Group, Written]]) -> dict[Group, Written]:
    """Return one entry a group, in the order of the groups."""
    total: defaultdict[Group, Written] = defaultdict(Written)
    for group, written in rows:
        total[group] += written
    return dict(sorted(total.items()))


def realised(
    mixture: Mixture, available: Mapping[Group, int], written: Mapping[Group, Written]
) -> tuple[MixtureShare, ...]:
    """Return what became of each source and of each language that has bytes to train on."""
    found = []
    for position, kind in enumerate(("source", "language")):
        for name in sorted({group[position] for group in available}):
            groups = [group for group in available if group[position] == name and available[group]]
            there = sum(available[group] for group in groups)
            if not there:
                continue
            asked = sum(float(mixture.epochs(*group)) * available[group] for group in groups)
            got = sum((written.get(group, Written()) for group in groups), Written())
            found.append(
                MixtureShare(
                    kind="source" if kind == "source" else "language",
                    name=name,
                    asked_epochs=round(asked / there, 4),
                    epochs=round(got.num_bytes / there, 4),
                    tokens=got.tokens,
                    unique_tokens=got.unique_tokens,
                )
            )
    return tuple(found)
