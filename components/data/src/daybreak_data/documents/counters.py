"""What a task counted: files and bytes seen and kept, and every file left out, by reason. Pure."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

NAMED_PARTS = 20
"""Of all that was broken, so many are named; the drops name every one."""


@dataclasses.dataclass
class DocumentCounters:
    """What a task counted."""

    num_files: int = 0
    num_bytes: int = 0
    num_documents: int = 0
    document_bytes: int = 0
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)
    languages: Counter[str] = dataclasses.field(default_factory=Counter)
    """Language to bytes kept."""
    num_broken: int = 0
    """Parts of the source that could not be read; each is a drop, too."""
    broken: list[str] = dataclasses.field(default_factory=list)
    """What is wrong with the first of them, in the order of the alphabet."""

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> DocumentCounters:
        """Return what ``as_json`` wrote."""
        counters = {name: Counter(result[name]) for name in ("dropped", "languages")}
        return cls(**{**result, **counters})

    def as_json(self) -> dict[str, Any]:
        """Return the counts as JSON, in a fixed order."""
        counters = {name: dict(sorted(getattr(self, name).items())) for name in ("dropped", "languages")}
        return {**dataclasses.asdict(self), **counters}

    def drop(self, reason: str, size: int) -> None:
        """Count a file that is left out."""
        self.num_files += 1
        self.num_bytes += size
        self.dropped[reason] += 1

    def note_broken(self, detail: str) -> None:
        """Note a part of the source that could not be read."""
        self.num_broken += 1
        self.broken = sorted({*self.broken, detail})[:NAMED_PARTS]

    def keep(self, size: int, document_bytes: int) -> None:
        """Count a document."""
        self.num_files += 1
        self.num_bytes += size
        self.num_documents += 1
        self.document_bytes += document_bytes

    def add(self, other: DocumentCounters) -> None:
        """Take over another task's counts."""
        self.num_files += other.num_files
        self.num_bytes += other.num_bytes
        self.num_documents += other.num_documents
        self.document_bytes += other.document_bytes
        self.dropped.update(other.dropped)
        self.languages.update(other.languages)
        self.num_broken += other.num_broken
        self.broken = sorted({*self.broken, *other.broken})[:NAMED_PARTS]
