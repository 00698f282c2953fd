"""Signs that a file is torn, whatever its language: merge conflicts and bytes that are no text.

Owns the two signs. Whether brackets are whole is brackets.py; what a sign leads to, check.py.
"""

from __future__ import annotations

import re

_MARK = re.compile(r"^(<{7}|={7}|>{7})(?= |\r?$)", re.MULTILINE)
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]")
# A table of control characters, a banner of an old editor: what a comment holds is no sign. A mark between blanks, so
# that rubbish seldom has one.
_COMMENT_LINE = re.compile(r"(?:^|(?<=[ \t]))(?://|#|--|;|%)+[ \t][^\n]*|^[ \t]*\*[ \t][^\n]*", re.MULTILINE)
_STRING = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'")
_BLOCKS = (("/*", "*/"), ("<!--", "-->"))
LEAST_RUBBISH = 8
"""Control characters and replaced bytes in a file that does not parse. A form feed, an escape or a mark of the end
of a DOS file is none; a test of terminals has some in its strings, but parses."""


def find_tear(text: str) -> str:
    """Return the sign, empty where there is none. Ask only of a text that does not parse."""
    line = _conflict(text) if "<<<<<<<" in text else 0
    if line:
        return f"line {line}: marks of a merge conflict"
    number = _rubbish(text)
    if number >= LEAST_RUBBISH:
        number = _rubbish(
            _STRING.sub("", _without_comments(text))
        )  # a test of decoders has some in its strings
    return f"{number} characters or more that are no text" if number >= LEAST_RUBBISH else ""


def _without_comments(text: str) -> str:
    for opening, closing in _BLOCKS:
        pieces, place = [], 0
        while (start := text.find(opening, place)) >= 0 and (end := text.find(closing, start)) >= 0:
            pieces.append(text[place:start])
            place = end + len(closing)
        text = "".join([*pieces, text[place:]])
    return _COMMENT_LINE.sub("", text)


def _rubbish(text: str) -> int:
    if not text.isascii() or "\0" in text:
        return sum(1 for _ in zip(_NO_TEXT.finditer(text), range(LEAST_RUBBISH), strict=False))
    return len(_NO_TEXT.findall(text[:100_000]))


def _conflict(text: str) -> int:
    """Return the line of a mark that is followed by the two others, 0 where there is none."""
    wanted, line = "<", 0
    for found in _MARK.finditer(text):
        mark = found.group(1)[0]
        if mark == "<":
            wanted, line = "=", text.count("\n", 0, found.start()) + 1
        elif mark == wanted:
            if mark == ">":
                return line
            wanted = ">"
    return 0
