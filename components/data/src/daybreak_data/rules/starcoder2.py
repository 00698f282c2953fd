"""StarCoder2's published rules as an ordered table, thresholds with their source beside them. Pure.

Does not own: OpenCoder's rules of the profile Strict (opencoder.py) and generated code (generated.py).

Sources: StarCoder2 and The Stack v2 (arXiv 2402.19173, section 3 and appendix), bigcode-dataset/preprocessing,
as docs/thresholds.md lists them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from daybreak_data.rules.languages import family_of
from daybreak_data.rules.measures import FilterRule, MeasuredText

MOST_LINES = 100_000  # StarCoder2
LONGEST_LINE = 1000  # Codex, StarCoder, StarCoder2
LONGEST_LINE_OF_PROSE = 100_000  # StarCoder2, for the languages of LONG_LINED
MEAN_LINE = 100  # Codex, StarCoder, StarCoder2
LEAST_LETTERS = 0.25  # StarCoder2
MOST_DATA_LINES = 512  # StarCoder2: Text, JSON, YAML, OWL, DOT
LONGEST_ENCODED = 1024  # StarCoder2: characters of one match
MOST_ENCODED = 0.5  # StarCoder2: share of all matches
LEAST_VISIBLE, LEAST_VISIBLE_SHARE = 100, 0.2  # StarCoder: visible text of HTML
LEAST_DATA, MOST_DATA = 50, 5000  # DeepSeek-Coder, OpenCoder's class "data": characters of JSON and YAML
XML_HEAD = 100  # StarCoder: "<?xml version=" in the first 100 characters

LONG_LINED = frozenset(
    ("html", "json", "markdown", "roff", "roff-manpage", "smt", "tex", "text", "xml", "xslt", "svg")
)
DATA_FORMATS = frozenset(("text", "json", "yaml", "web-ontology-language", "graphviz-(dot)"))
DIGITS_COUNT = frozenset(("motorola-68k-assembly", "webassembly"))
XML_DIALECTS = frozenset(
    ("xml", "xslt", "svg", "html", "wsdl", "xproc", "xpages", "ant-build-system", "genshi")
)

_ENCODED = (
    rb"[a-zA-Z0-9+/\n=]{64,}",
    rb"(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}",
    rb"(?:\\u[0-9a-fA-F]{4}){8,}",
)
_INVISIBLE = rb"(?is)<(?:script|style)\b[^>]*>.*?</(?:script|style)\s*>|<!--.*?-->|<[^>]*>"


def has_too_many_lines(document: MeasuredText) -> str | None:
    """More than 100,000 lines."""
    count = len(document.lines)
    return f"{count} lines, at most {MOST_LINES}" if count > MOST_LINES else None


def has_a_line_that_is_too_long(document: MeasuredText) -> str | None:
    """A line of more than 1,000 characters; 100,000 where prose or data stands on long lines."""
    limit = LONGEST_LINE_OF_PROSE if _is_long_lined(document) else LONGEST_LINE
    longest = document.longest_line
    return f"a line of {longest} characters, at most {limit}" if longest > limit else None


def has_lines_that_are_long_on_average(document: MeasuredText) -> str | None:
    """A mean of more than 100 characters, except where prose or data stands on long lines."""
    if _is_long_lined(document) or document.mean_line <= MEAN_LINE:
        return None
    return f"{document.mean_line:.1f} characters a line on average, at most {MEAN_LINE}"


def has_too_few_letters(document: MeasuredText) -> str | None:
    """Less than a quarter of the characters are letters (letters and digits in assembly)."""
    count = document.letters + (document.digits if document.language in DIGITS_COUNT else 0)
    share = document.share(count)
    return f"{share:.1%} letters, at least {LEAST_LETTERS:.0%}" if share < LEAST_LETTERS else None


def holds_encoded_data(document: MeasuredText) -> str | None:
    """Base64, hexadecimal bytes or Unicode escapes: one run over 1,024 characters or half of the file."""
    if not _has_encoded()(document.data):
        return None
    for pattern in _encoded_patterns():
        lengths = [end - start for start, end in (match.span() for match in pattern.finditer(document.data))]
        longest, total = max(lengths, default=0), sum(lengths)
        if longest > LONGEST_ENCODED:
            return f"{longest} characters of encoded data in one run, at most {LONGEST_ENCODED}"
        if total > MOST_ENCODED * len(document.data):
            return f"{total / len(document.data):.0%} encoded data, at most {MOST_ENCODED:.0%}"
    return None


def is_a_data_file_with_too_many_lines(document: MeasuredText) -> str | None:
    """Text, JSON, YAML, OWL or DOT of more than 512 lines."""
    count = len(document.lines)
    if _family(document) not in DATA_FORMATS or count <= MOST_DATA_LINES:
        return None
    return f"{count} lines of {document.language}, at most {MOST_DATA_LINES}"


def is_a_data_file_of_unfit_size(document: MeasuredText) -> str | None:
    """JSON or YAML of less than 50 or more than 5,000 characters."""
    count = len(document.text)
    if _family(document) not in ("json", "yaml") or LEAST_DATA <= count <= MOST_DATA:
        return None
    return f"{count} characters of {document.language}, from {LEAST_DATA} to {MOST_DATA}"


def is_html_with_little_text(document: MeasuredText) -> str | None:
    """HTML whose visible text is under 100 characters or under a fifth of the file."""
    if document.language != "html":
        return None
    visible = len(b" ".join(_invisible().sub(b" ", document.data).split()).decode("utf-8", "replace"))
    share = document.share(visible)
    if visible >= LEAST_VISIBLE and share >= LEAST_VISIBLE_SHARE:
        return None
    return (
        f"{visible} visible characters ({share:.0%}), at least {LEAST_VISIBLE} and {LEAST_VISIBLE_SHARE:.0%}"
    )


def is_xml_in_disguise(document: MeasuredText) -> str | None:
    """An XML declaration in the first 100 characters of something that is called otherwise."""
    if _family(document) in XML_DIALECTS or "<?xml version=" not in document.text[:XML_HEAD]:
        return None
    return f"an XML declaration in a file of {document.language or 'no known language'}"


STARCODER2 = (
    FilterRule("too-many-lines", has_too_many_lines),
    FilterRule("long-line", has_a_line_that_is_too_long),
    FilterRule("long-mean-line", has_lines_that_are_long_on_average),
    FilterRule("few-letters", has_too_few_letters),
    FilterRule("xml-in-disguise", is_xml_in_disguise),
    FilterRule("data-file-lines", is_a_data_file_with_too_many_lines),
    FilterRule("data-file-size", is_a_data_file_of_unfit_size),
    FilterRule("encoded-data", holds_encoded_data),
    FilterRule("little-visible-text", is_html_with_little_text),
)


def _is_long_lined(document: MeasuredText) -> bool:
    return _family(document) in LONG_LINED


def _family(document: MeasuredText) -> str:
    return family_of(document.language) if document.language else ""


@cache
def _has_encoded() -> Callable[[bytes], Any]:
    import re2

    search: Callable[[bytes], Any] = re2.compile(b"|".join(_ENCODED)).search
    return search


@cache
def _encoded_patterns() -> tuple[Any, ...]:
    import re2

    return tuple(re2.compile(pattern) for pattern in _ENCODED)


@cache
def _invisible() -> re.Pattern[bytes]:
    import re2

    pattern: re.Pattern[bytes] = re2.compile(_INVISIBLE)
    return pattern
