"""The thresholds of a language: what is published, and what a manifest says instead.

Owns: which published number holds for which family of languages. Pure. Does not own: how a text is measured
(measures.py) and what is dropped (starcoder2.py). Sources stand in docs/thresholds.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from daybreak_contracts.resources.run import LanguageFilters
from daybreak_data.rules.languages import family_of

_PROSE = (
    "asciidoc",
    "mdx",
    "mediawiki",
    "org",
    "pod",
    "pod-6",
    "rdoc",
    "restructuredtext",
    "rmarkdown",
    "textile",
    "typst",
    "wikitext",
)
"""Prose like Markdown, which StarCoder2 excuses: a paragraph may be a line. Its list names the large languages only."""
LONG_LINED = frozenset(
    (*_PROSE, "html", "json", "markdown", "roff", "roff-manpage", "smt", "tex", "text", "xml", "xslt", "svg")
)
DATA_FORMATS = frozenset(("text", "json", "yaml", "web-ontology-language", "graphviz-(dot)"))
SIZED_FORMATS = frozenset(("json", "yaml"))
UNLIMITED = 1 << 62


@dataclass(frozen=True)
class Limits:
    """What a file of one language may measure; the defaults are those of a programming language."""

    max_lines: int = 100_000  # StarCoder2
    max_line_length: int = 1000  # Codex, StarCoder, StarCoder2
    max_mean_line_length: int = 100  # Codex, StarCoder, StarCoder2
    min_characters: int = 0
    max_characters: int = UNLIMITED
    min_letters: float = 0.25  # StarCoder2
    max_encoded_length: int = 1024  # StarCoder2: characters of one match
    max_data_lines: int = UNLIMITED
    """Where the text is data and not written by a person; a manifest's ``maxLines`` takes its place."""
    max_data_characters: int = UNLIMITED
    """The same of characters; a manifest's ``maxCharacters`` takes its place."""


@cache
def published(language: str | None) -> Limits:
    """Return the published thresholds of a language."""
    family = family_of(language) if language else ""
    limits = Limits()
    if family in LONG_LINED:
        limits = replace(limits, max_line_length=100_000, max_mean_line_length=UNLIMITED)  # StarCoder2
    if family in DATA_FORMATS:
        limits = replace(limits, max_data_lines=512)  # StarCoder2
    if family in SIZED_FORMATS:  # DeepSeek-Coder, OpenCoder's class "data"
        limits = replace(limits, min_characters=50, max_data_characters=5000)
    return limits


def chosen(overrides: Iterable[LanguageFilters]) -> Mapping[str, Limits]:
    """Return the thresholds of the languages for which a manifest says other ones."""
    return {str(given.language): _with(published(str(given.language)), given) for given in overrides}


def _with(limits: Limits, given: LanguageFilters) -> Limits:
    said = given.model_dump(exclude={"language"}, exclude_none=True)
    if "min_letters" in said:
        said["min_letters"] = float(said["min_letters"])
    if "max_lines" in said:
        said["max_data_lines"] = UNLIMITED
    if "max_characters" in said:
        said["max_data_characters"] = UNLIMITED
    return replace(limits, **said)
