"""The comment text at the head of a file, for rules that must not read code or strings.

Owns: how comments and strings look in the families of languages, as far as a head of 4 KB needs it.
Does not own: what the text says (generated.py) and full lexing (opencoder.py counts with the same scanner).
"""

from __future__ import annotations

import re
from functools import cache

_STRING = r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
_C_BLOCK = r"/\*(?P<block>.*?)(?:\*/|\Z)"
# Comments of template languages, which come in front of a file of any other: Go, Jinja, Handlebars, Blade, ERB, Razor.
_TEMPLATE = (
    r"^[ \t]*(?:\{\{-?[ \t]*/\*|\{\#-?(?=\s)|\{\{!(?:--)?|\{\{--|<%(?:--|-?[ \t]*\#)|@\*)(?P<template>.*?)"
    r"(?:\*/[ \t]*-?\}\}|-?\#\}|(?:--)?\}\}|--%>|-?%>|\*@)|"
)
_BODIES = ("line", "block", "doc", "template")
_SHAPES: dict[str, str] = {
    "python": (
        r"^[ \t]*[rRuU]?(?P<quote>\"\"\"|''')(?P<doc>.*?)(?:(?P=quote)|\Z)"
        r"|\#(?P<line>[^\n]*)|\"\"\".*?(?:\"\"\"|\Z)|'''.*?(?:'''|\Z)|" + _STRING
    ),
    "hash": r"(?:^|(?<=[\s;]))\#(?P<line>[^\n]*)|\"(?:\\.|[^\"\\])*\"|'[^'\n]*'",
    "c": r"//(?P<line>[^\n]*)|" + _C_BLOCK + "|" + _STRING + r"|`(?:\\.|[^`\\])*(?:`|\Z)",
    "c-ticks": r"//(?P<line>[^\n]*)|" + _C_BLOCK + r"|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\\n])'",
    "php": r"(?://|\#(?!\[))(?P<line>[^\n]*)|" + _C_BLOCK + r"|<!--(?P<doc>.*?)(?:-->|\Z)|" + _STRING,
    "block": _C_BLOCK + "|" + _STRING,
    "dashes": r"--(?P<line>[^\n]*)|" + _C_BLOCK + r"|\{-(?P<doc>.*?)(?:-\}|\Z)|" + _STRING,
    "lua": r"--\[(?P<level>=*)\[(?P<doc>.*?)(?:\](?P=level)\]|\Z)|--(?P<line>[^\n]*)|" + _STRING,
    "markup": r"<!--(?P<doc>.*?)(?:-->|\Z)",
    "semicolon": r";(?P<line>[^\n]*)|\"(?:\\.|[^\"\\])*\"",
    "percent": r"%(?P<line>[^\n]*)",
    "any": r"^[ \t]*(?:\#|//|--|;|%|!|'|\*|/\*|<!--|\"|\.\\\"|dnl\b|(?i:rem)\b)(?P<line>[^\n]*)",
}
_FAMILY_OF = {
    **dict.fromkeys(("python", "cython", "starlark", "snakemake", "jupyter-notebook"), "python"),
    **dict.fromkeys(
        (
            "ruby",
            "shell",
            "yaml",
            "toml",
            "perl",
            "r",
            "makefile",
            "cmake",
            "dockerfile",
            "elixir",
            "nix",
            "julia",
            "crystal",
            "tcl",
            "awk",
            "hcl",
            "fish",
            "powershell",
            "graphql",
            "coffeescript",
            "nim",
        ),
        "hash",
    ),
    **dict.fromkeys(
        [
            "javascript",
            "typescript",
            "tsx",
            "java",
            "go",
            "c",
            "cpp",
            "csharp",
            "objective-c",
            "objective-c++",
            "kotlin",
            "swift",
            "scala",
            "groovy",
            "dart",
            "protocol-buffer",
            "cuda",
            "zig",
            "solidity",
            "glsl",
            "hlsl",
            "verilog",
            "systemverilog",
            "jsonnet",
            "bicep",
            "scss",
            "less",
            "json-with-comments",
            "thrift",
        ],
        "c",
    ),
    "rust": "c-ticks",
    "php": "php",
    "css": "block",
    "lua": "lua",
    **dict.fromkeys(("sql", "plpgsql", "plsql", "tsql", "haskell", "elm", "ada"), "dashes"),
    **dict.fromkeys(("html", "xml", "markdown", "svg", "vue", "svelte", "maven-pom"), "markup"),
    **dict.fromkeys(
        ("common-lisp", "emacs-lisp", "scheme", "clojure", "assembly", "unix-assembly"), "semicolon"
    ),
    **dict.fromkeys(("tex", "erlang", "matlab", "postscript", "prolog"), "percent"),
}
_DECORATION = " \t\r*#/!-=+~|%;<>"


def comment_lines(head: str, language: str | None, *, of_template: bool = False) -> list[tuple[int, str]]:
    """(number of the line from 0, its comment text without decoration) of each line with a comment.

    ``of_template``: only what a template language comments, not the comments of what the template makes.
    """
    lines: list[tuple[int, str]] = []
    for match in _shape(_FAMILY_OF.get(language or "", "any")).finditer(head):
        if match.lastgroup is None:
            continue
        name = _body_name(match)
        if of_template and name != "template":
            continue
        body = match.group(name)
        number = head.count("\n", 0, match.start(name))
        for offset, line in enumerate(body.split("\n")):
            stripped = line.strip(_DECORATION.replace("<", "").replace(">", ""))
            if stripped:
                lines.append((number + offset, stripped))
    return lines


def read_together(comments: list[tuple[int, str]], head: str) -> list[str]:
    """The comments of a head as they are read: one text for each that code parts from the next."""
    lines = head.split("\n")
    together: list[list[str]] = []
    last = -1
    for number, line in comments:
        if together and not any(between.strip(_DECORATION) for between in lines[last + 1 : number]):
            together[-1].append(line)
        else:
            together.append([line])
        last = max(last, number)
    return [" \n".join(block) for block in together]


def _has(match: re.Match[str], name: str) -> bool:
    return name in match.re.groupindex and match.group(name) is not None


def _body_name(match: re.Match[str]) -> str:
    return next(name for name in _BODIES if _has(match, name))


@cache
def _shape(family: str) -> re.Pattern[str]:
    return re.compile(_TEMPLATE + _SHAPES[family], re.MULTILINE | re.DOTALL)


def comment_and_string_chars(text: str, language: str | None) -> tuple[int, int]:
    """Characters of comments and of string literals in a whole text."""
    comments = strings = 0
    for match in _shape(_FAMILY_OF.get(language or "", "any")).finditer(text):
        length = match.end() - match.start()
        if match.lastgroup is None:
            strings += length
        else:
            comments += length
    return comments, strings
