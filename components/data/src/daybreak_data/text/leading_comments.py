"""The comments before the first line of code, in every style of comment.

Owns where they begin and end. Pure, and free of the language where the style is: a wrong guess costs little to those
who ask. Does not know what a comment says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_HEAD_CHARS = 16_384
"""A comment that begins further down is none of the head; Apache-2.0 in full has 11,000 characters."""

_SPACE = re.compile(r"\s*")
_MARKUP_BLOCKS = (
    (r"<!--", "-->"),
    (r"<%--", "--%>"),
    (r"<%#", "%>"),
    (r"\{#", "#}"),
    (r"\{\{!--", "--}}"),
    (r"\{\{!", "}}"),
    (r"\{\{-?\s*/\*", "*/"),
    (r"@\*", "*@"),
)
_CODE_BLOCKS = (
    (r"/\*", "*/"),
    (r"/\+", "+/"),
    (r"\(\*", "*)"),
    (r"\{-", "-}"),
    (r"\{\*", "*}"),
    (r"--\[\[", "]]"),
    (r"--\[=\[", "]=]"),
    (r"#\[\[", "]]"),
    (r"#\[=\[", "]=]"),
    (r"#\[", "]#"),
    (r"#\|", "|#"),
    (r"#=(?!=)", "=#"),
    (r"<#", "#>"),
    (r"%\{", "%}"),
    (r"###(?![#\n]*\n#)", "###"),
    (r"=begin\b", "\n=end"),
    (r"=(?:pod|head[1-4]|encoding)\b", "\n=cut"),
    (r"[rRuU]?\"\"\"", '"""'),
    (r"[rRuU]?'''", "'''"),
)
_PASCAL_BLOCKS = ((r"\{(?!\$)", "}"),)


@dataclass(frozen=True)
class _BlockStyles:
    """Comments that have an end; the first opening that fits decides which end."""

    opening: re.Pattern[str]
    closings: tuple[str, ...]

    @classmethod
    def of(cls, *styles: tuple[str, str]) -> _BlockStyles:
        """One pattern with a group for each opening: to try them one by one took longer than to read the comment."""
        union = "|".join(f"({opening})" for opening, _ in styles)
        return cls(re.compile(union), tuple(closing for _, closing in styles))

    def end(self, text: str, position: int) -> int | None:
        """Where the comment that begins here ends; None where none begins, or it never ends."""
        found = self.opening.match(text, position)
        if found is None or found.lastindex is None:
            return None
        closing = self.closings[found.lastindex - 1]
        end = text.find(closing, found.end())
        return None if end < 0 else end + len(closing)


_STYLES = _BlockStyles.of(*_MARKUP_BLOCKS, *_CODE_BLOCKS)
_STYLES_OF_PROSE = _BlockStyles.of(*_MARKUP_BLOCKS)
_STYLES_OF_PASCAL = _BlockStyles.of(*_CODE_BLOCKS, *_PASCAL_BLOCKS)
_LINE = re.compile(
    r"(?P<mark>//|#(?!(?:include|import|define|ifn?def|if|undef|pragma|error|using)\b)|--|;|%|!|'|\"(?!\")|"
    r"\.\\\"|\\(?=\s)|::|@(?:c|comment)\b|(?i:@?rem|dnl)\b)"
)
_LINE_OF_LANGUAGE = {
    "cobol": re.compile(r"(?P<mark>(?:.{6})?\*>?)"),
    "abap": re.compile(r"(?P<mark>\*|\")"),
    "fortran": re.compile(r"(?P<mark>[cC*!](?=\s|$|[*!=-]))"),
    "assembly": re.compile(r"(?P<mark>//|#(?!\s*(?:include|define|if)\b)|;|@|\*|!)"),
}
_DIRECTIVE_COMMENT = re.compile(r"\.\.[ \t][^\n]*(?:\n(?:[ \t]+[^\n]*)?)*")  # of reStructuredText
_PROSE = frozenset({"markdown", "text", "asciidoc", "org", "restructuredtext"})
# What stands before a licence without being code: marks of the file, guards, the name of a package.
_PREAMBLE = re.compile(
    r"\ufeff|#!.*|<\?(?:php|hh)?(?=\s)|<\?xml[^>]*\?>|<!(?i:doctype)[^>]*>|<(?i:html)\b[^>]*>|<%@.*?%>|"
    r"(?:package|module|namespace)\s+[\w.:]+\s*;?[ \t]*$|['\"]use \w+['\"];?|#\s*(?:ifndef|define|pragma|if)\b.*|"
    r"@charset.*|(?i:@echo off)|---[ \t]*$|%YAML.*|-?\}\}|#\s*-\*-.*",
    re.MULTILINE,
)


def leading_comments(text: str, language: str = "") -> str:
    """Return the comments before the first line of code, one after another."""
    return "\n".join(text[start:end] for start, end in comment_spans(text, language))


def comment_spans(text: str, language: str) -> Iterator[tuple[int, int]]:
    """Where each comment before the first line of code begins and ends."""
    prose = language in _PROSE
    blocks = _STYLES_OF_PROSE if prose else _STYLES
    if language in ("pascal", "delphi"):
        blocks = _STYLES_OF_PASCAL
    line = _LINE_OF_LANGUAGE.get(language, _LINE)
    position = 0
    while True:
        space = _SPACE.match(text, position)
        position = space.end() if space else position
        if position >= min(len(text), MAX_HEAD_CHARS):
            return
        end = blocks.end(text, position)
        if end is None and prose:
            found = _DIRECTIVE_COMMENT.match(text, position)
            end = found.end() if found and language == "restructuredtext" else None
        if end is None:
            preamble = _PREAMBLE.match(text, position)
            if preamble and preamble.end() > position:
                position = preamble.end()
                continue
            end = None if prose else _lines_end(text, position, line)
        if end is None:
            return
        yield position, end
        position = end


def _lines_end(text: str, position: int, line: re.Pattern[str]) -> int | None:
    """Return the end of a run of lines that begin with the same mark."""
    first = line.match(text, position)
    if first is None:
        return None
    mark, end = first["mark"], None
    while first is not None and first["mark"] == mark:
        stop = text.find("\n", position)
        end = len(text) if stop < 0 else stop
        position = end + 1
        while position < len(text) and text[position] in " \t":
            position += 1
        first = line.match(text, position) if stop >= 0 else None
    return end
