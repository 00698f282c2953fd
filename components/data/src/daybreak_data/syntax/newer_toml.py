"""TOML 1.1 written as TOML 1.0, which is what the parser at hand reads.

Owns what 1.1 adds: inline tables over several lines and with a last comma, ``\\e`` and ``\\xHH`` in strings, times
without seconds (the changelog of toml-lang/toml). Pure. Strings are never touched but for those two escapes.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"(?P<raw>'''.*?'''(?!')|'[^'\n]*')|(?P<string>\"\"\"(?:\\.|[^\\])*?\"\"\"(?!\")|\"(?:\\.|[^\"\\\n])*\")"
    r"|(?P<comment>\#[^\n]*)|(?P<bracket>[\[\]{}])|(?P<line>[ \t]*\r?\n[ \t]*)"
    r"|(?P<time>(?<![\d:])[0-2]\d:[0-5]\d(?![\d:]))|(?P<comma>,)",
    re.DOTALL,
)
_NEW_ESCAPE = re.compile(r"\\(?:e|x([0-9A-Fa-f]{2})|.)", re.DOTALL)


def older_toml(text: str) -> str:
    """Return the text with what 1.1 adds written in the words of 1.0; lines inside inline tables are joined."""
    pieces: list[str] = []
    open_brackets: list[str] = []
    place = 0
    for token in _TOKEN.finditer(text):
        pieces.append(text[place : token.start()])
        place = token.end()
        kind, said = token.lastgroup, token.group()
        inline = bool(open_brackets) and open_brackets[-1] == "{"
        if kind == "bracket":
            _note(said, open_brackets)
            if said == "}":
                _drop_last_comma(pieces)
        elif kind == "string":
            said = _NEW_ESCAPE.sub(_older_escape, said)
        elif kind == "time":
            said += ":00"
        elif inline and kind in {"comment", "line"}:
            said = " "
        pieces.append(said)
    return "".join([*pieces, text[place:]])


def _note(bracket: str, open_brackets: list[str]) -> None:
    if bracket in "[{":
        open_brackets.append(bracket)
    elif open_brackets:
        open_brackets.pop()


def _drop_last_comma(pieces: list[str]) -> None:
    for index in range(len(pieces) - 1, -1, -1):
        if pieces[index] == ",":
            pieces[index] = ""
            return
        if pieces[index].strip():
            return


def _older_escape(match: re.Match[str]) -> str:
    if match[1]:
        return f"\\u00{match[1]}"
    return "\\u001b" if match.group() == "\\e" else match.group()
