"""Whose word counts for a document: its own, that of its folder, or of the nearest folder above that says something.

Within a folder a licence text counts for more than a package's metadata, which people copy and forget; but where both
name the same licences the metadata is taken, for it knows AND from OR, and "or later". Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from daybreak_data.licences.evidence import METADATA, NOTICE, TEXT, Evidence, is_one_of_a_choice
from daybreak_data.licences.expression import UNKNOWN, families, spdx_of

Key = tuple[str, str]
"""A source and one of its repositories."""


class RepositoryLicences:
    """The licences of folders, by source and repository. Travels to tasks."""

    def __init__(self, evidence: Iterable[tuple[str, Evidence]]) -> None:
        """``evidence`` comes with the name of its source, in any order."""
        self._evidence = sorted(
            {(source, *_sort_key(found)): found for source, found in evidence}.items(),
            key=lambda item: item[0],
        )

    def licence_of(self, source: str, repository: str, path: str, own: str) -> str:
        """Return a document's licence: ``own`` is what it says itself or its source says of it, empty for nothing."""
        if own:
            return own
        folders = self._folders.get((source, repository))
        if folders is None:
            return UNKNOWN
        folder = path
        while folder:
            folder = folder.rpartition("/")[0]
            if folder in folders:
                return folders[folder]
        return UNKNOWN

    @cached_property
    def _folders(self) -> dict[Key, dict[str, str]]:
        grouped: defaultdict[tuple[str, str, str], list[Evidence]] = defaultdict(list)
        for (source, *_), found in self._evidence:
            grouped[source, found.repository, found.folder].append(found)
        folders: defaultdict[Key, dict[str, str]] = defaultdict(dict)
        for (source, repository, folder), of_folder in grouped.items():
            folders[source, repository][folder] = folder_licence(of_folder)
        return dict(folders)


def _sort_key(found: Evidence) -> tuple[str, str, str, str]:
    return found.repository, found.folder, found.name, found.expression


def folder_licence(found: list[Evidence]) -> str:
    """Return the one expression that all the evidence of a folder amounts to."""
    texts = [item for item in found if item.kind == TEXT] or [item for item in found if item.kind == NOTICE]
    declared = [item.expression for item in found if item.kind == METADATA]
    texts = [item for item in texts if item.expression != UNKNOWN] or texts
    if not texts:
        return declared[0] if len(set(declared)) == 1 else spdx_of(_joined(" AND ", declared))
    expression = _of_texts(texts)
    for candidate in declared:
        if families(candidate) == families(expression):
            return candidate
    return expression


def _of_texts(texts: list[Evidence]) -> str:
    expressions = list(dict.fromkeys(item.expression for item in texts))
    if len(expressions) == 1:
        return expressions[0]
    lesser = [expression for expression in expressions if expression.startswith("LGPL-")]
    if len(lesser) == 1 and all(expression.startswith(("LGPL-", "GPL-")) for expression in expressions):
        return lesser[0]  # the lesser licence is written as additions to the other
    if all(is_one_of_a_choice(item.name) for item in texts):
        return spdx_of(_joined(" OR ", expressions))
    return spdx_of(_joined(" AND ", expressions))


def _joined(word: str, expressions: list[str]) -> str:
    return word.join(f"({expression})" for expression in expressions)
