"""The licence text at the head of a file, which says nothing about whether two files are alike.

Owns which paragraphs of the comments before the code speak of licence and copyright. Pure. Does not know which
licence it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from daybreak_data.text.leading_comments import comment_spans

_MAX_GAP_PARAGRAPHS = 4
"""Paragraphs between two that speak of a licence belong to it: a list of conditions, an address."""

_SAYS_LICENCE = re.compile(
    r"copyright|©|\(c\)\s*(?:19|20)\d\d|spdx-|all rights reserved|public domain|\bunlicense\b|creative commons|"
    r"licen[cs]ed?\s+(?:under|to|by|as)\b|(?:under|see|by|of|with) (?:the |this |its |a |an |your )?[\w.,/\" -]{0,40}"
    r"licen[cs]e\b|licen[cs]e\s*[:=]|licen[cs]e\W*$|^\W*licen[cs]e\b|"
    r"(?:apache|mit|bsd|isc|zlib|boost|mozilla|public|eclipse|open source|free|artistic)\W+(?:\w+\W+){0,2}licen[cs]e|"
    r"licen[cs]e\W+(?:agreement|terms|version|v?\d)|dual.licen|permission (?:is|notice|to use)|written permission|"
    r"this notice may not be removed|must not be misrepresented|redistribut|warrant(?:y|ies)\b|"
    r"[\"'`]as[ -]is[\"'`]|merchantab|liable for|liability|"
    r"this (?:file|program|software|code|library|source|module|work|header)[\w ]{0,20} is (?:a )?"
    r"(?:part of|free|distributed|subject|provided|released|governed)|"
    r"(?:proprietary|confidential|trade secrets?) (?:and|information|property|software|material)|"
    r"free software foundation",
    re.IGNORECASE,
)
_ENOUGH = (
    *(
        "copyright",
        "©",
        "spdx-",
        "all rights reserved",
        "public domain",
        "creative commons",
        "written permission",
    ),
    *("must not be misrepresented", "redistribut", "merchantab", "liability", "free software foundation"),
)
"""Alternatives of the pattern that are plain words."""
_NEEDED = (
    *(
        "licen",
        "(c)",
        "permission",
        "notice",
        "warrant",
        "as is",
        "as-is",
        "liable",
        "proprietary",
        "confidential",
    ),
    *("secret", "part of", "free", "distributed", "subject", "provided", "released", "governed"),
)
"""In lower case and with single blanks, every other text that fits has one of these, or a letter of ``_FOLDED``."""
_FOLDED = re.compile("[\u017f\u0130\u0131\u212a]")
"""Letters beyond ASCII that stand for an s, an i or a k where case does not count."""
_WORD = re.compile(r"[^\W_]")


def without_licence_header(text: str, language: str = "") -> str:
    """Return a text without the paragraphs on licence and copyright in the comments before its code."""
    kept: list[str] = []
    position = 0
    for start, end in comment_spans(text, language):
        for first, last in _licence_spans(text, start, end):
            kept.append(text[position:first])
            position = last
    return "\n".join([*kept, text[position:]]) if position else text


def says_licence(paragraph: str) -> bool:
    """Tell whether a paragraph with single blanks speaks of licence or copyright.

    A look for words decides nearly all, in a tenth of the pattern's time.
    """
    said = _by_words(paragraph)
    if said is not None:
        return said
    if paragraph.isascii():
        return _in_ascii()(paragraph.encode()) is not None
    return _SAYS_LICENCE.search(paragraph) is not None


def _by_words(text: str) -> bool | None:
    """What the words in a text with single blanks tell of it: it speaks of licence, it does not, it may."""
    lower = text.lower()
    for word in _ENOUGH:
        if word in lower:
            return True
    for word in _NEEDED:
        if word in lower:
            return None
    return None if not text.isascii() and _FOLDED.search(text) else False


@cache
def _in_ascii() -> Callable[[bytes], Any]:
    """The same pattern by RE2, which takes a tenth of the time; of ASCII the two say the same."""
    import re2

    pattern = _SAYS_LICENCE.pattern.replace("©|", "").encode("ascii")
    search: Callable[[bytes], Any] = re2.compile(b"(?i)" + pattern).search
    return search


def _may_say_licence(comment: str) -> bool:
    """False where no paragraph of a comment, with single blanks, can speak of licence."""
    return _by_words(comment) is not False


def _licence_spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where runs of paragraphs on the licence begin and end within a comment."""
    if not _may_say_licence(" ".join(text[start:end].split())):
        return
    speaking = [
        (number, first, last)
        for number, (first, last) in enumerate(_paragraphs(text, start, end))
        if says_licence(" ".join(text[first:last].split()))
    ]
    while speaking:
        run = 1
        while run < len(speaking) and speaking[run][0] - speaking[run - 1][0] <= _MAX_GAP_PARAGRAPHS + 1:
            run += 1
        yield speaking[0][1], speaking[run - 1][2]
        speaking = speaking[run:]


def _paragraphs(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Lines with words, up to one that has none."""
    first: int | None = None
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        if _WORD.search(text, start, stop):
            first = start if first is None else first
        elif first is not None:
            yield first, start
            first = None
        start = stop + 1
    if first is not None:
        yield first, end
