"""Which files of a source are looked at: the size bound, and the seeded sample of likely ones. Reads no content.

A sample is drawn among files whose name alone says one of the wanted languages, so that its bytes are code.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from daybreak_data.documents.exclusion import ExclusionRules
from daybreak_data.rules.languages import family_of, key_of
from daybreak_data.rules.patterns import rule_file
from daybreak_data.sources import FileRef, SourceEntry, read
from daybreak_data.sources.entries import MAX_FILE_BYTES
from daybreak_data.sources.sampling import HashSample, draw


@dataclass(frozen=True)
class Selection:
    """What a task takes: ``sample`` None means everything."""

    languages: frozenset[str]
    sample: HashSample | None = None

    def takes(self, repository: str, path: str, size: int) -> bool:
        """Tell whether a file is looked at; files that are too large are, to be counted as what they are."""
        if self.sample is None or size > MAX_FILE_BYTES:
            return True
        return is_likely(path, self.languages) and self.sample.takes(repository, path)


def is_likely(path: str, languages: frozenset[str]) -> bool:
    """Tell whether the name of a file belongs to one of the languages, by linguist's lists."""
    name = path.rpartition("/")[2]
    suffixes, names = _names_of(languages)
    if name in names:
        return True
    parts = name.lower().split(".")[1:]
    return any("." + ".".join(parts[index:]) in suffixes for index in range(len(parts)))


@functools.cache
def _names_of(languages: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    suffixes: set[str] = set()
    names: set[str] = set()
    for name, entry in rule_file("languages.json")["languages"].items():
        if family_of(key_of(name)) in languages:
            suffixes.update(suffix.lower() for suffix in entry.get("extensions", ()))
            names.update(entry.get("filenames", ()))
    return frozenset(suffixes), frozenset(names)


def select(
    refs: Iterable[FileRef],
    languages: frozenset[str],
    seed: int,
    max_bytes: int | None,
    exclusion: ExclusionRules,
) -> Selection:
    """Draw the sample among what is not excluded; containers are read through once for what is inside."""
    if max_bytes is None:
        return Selection(languages)
    found = (
        (item.repository, item.path, item.size)
        for item in read(refs)
        if isinstance(item, SourceEntry)
        and item.size <= MAX_FILE_BYTES
        and is_likely(item.path, languages)
        and not exclusion.reason_for(item.repository, item.path)
    )
    return Selection(languages, draw(found, seed, max_bytes))
