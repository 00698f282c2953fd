"""JSON5 and JSON with comments of the shell, written as JSON.

Owns what people write under the name of JSON besides comments and last commas: keys without quotes, strings in single
ones (json5.org; WaveDrom, Babel and others read them), lines behind ``#``. Pure. Values are never invented: a word that
is no key stays as it is.
"""

from __future__ import annotations

import json
import re

_TOKEN = re.compile(
    r"(?P<string>\"(?:\\.|[^\"\\])*\")|(?P<single>'(?:\\.|[^'\\\n])*')"
    r"|(?P<comment>//[^\n]*|/\*(?:.*?\*/|.*)|^[ \t]*\#[^\n]*)"
    r"|(?P<key>(?<![\w$])[A-Za-z_$][\w$]*+(?=[ \t]*:))",
    re.DOTALL | re.MULTILINE,
)
_LAST_COMMA = re.compile(r"\"(?:\\.|[^\"\\])*\"|,(?=\s*[}\]])", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def as_json(text: str) -> str:
    """Return the text with keys and strings in double quotes, without comments and last commas; lines stay."""
    return _LAST_COMMA.sub(lambda found: found[0] if found[0] != "," else "", _TOKEN.sub(_older, text))


def _older(found: re.Match[str]) -> str:
    kind, said = found.lastgroup, found.group()
    if kind == "single":
        return json.dumps(_ESCAPE.sub(r"\1", said[1:-1]))
    if kind == "key":
        return f'"{said}"'
    return said if kind == "string" else "\n" * said.count("\n") + " "
