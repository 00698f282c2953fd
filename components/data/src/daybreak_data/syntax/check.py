"""Whether a text is a program of its language: the native parser where there is one, else tree-sitter.

Owns: which parser reads which language, the caps, and what a header or a template is excused.
Does not own: the parsers (native_parsers.py, grammars.py) and what is dropped for an error (document_rules.py).

Native, because tree-sitter alone finds 0.84 of the truncated Python files that CPython's parser finds
(docs/thresholds.md).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from daybreak_data.syntax import brackets, grammars, native_parsers, open_blocks, words
from daybreak_data.syntax.result import SyntaxResult
from daybreak_data.syntax.tearing import find_tear

__all__ = ["CAP_BYTES", "SyntaxResult", "check_syntax"]

CAP_BYTES = 1_000_000
CAP_SECONDS = 5.0
"""docs/thresholds.md: above 1 MB, or after 5 s of processor time, a file is kept unread."""

_HEADER = re.compile(r"\.(?:h|hh|hpp|hxx|h\+\+|inl|ipp|tpp|txx|tcc|inc|def)$", re.IGNORECASE)
_TEMPLATE_NAME = re.compile(
    r"\.(?:in|tmpl|tpl|template|j2|jinja2?|erb|ejs|mustache|hbs|mako)$|\.(?:in|tmpl)\.\w+$|[-_.]template\.\w+$"
)
_TEMPLATE_MARK = re.compile(
    r"\{%-?\s*\w+|\{\{-?\s*(?:/\*|[a-z]+\s+[\"(.$])|\{\{-?\s*[\w.$][\w.$]*(?:\s*\|[^{}\n]*)?\s*-?\}\}"
    r"|\{\{[~-]?[#/^>!]|<%[=@!-]?\s|</?\#[A-Za-z]+[ >]|<\#[=@+]|\$\{\{|@@?[A-Z][A-Z0-9_]+@|/\*!(?:\w+:)?re2c\b"
)
_NATIVE: dict[str, Callable[[str, str], SyntaxResult]] = {
    "python": native_parsers.check_python,
    "json": native_parsers.check_json,
    "jupyter-notebook": native_parsers.check_script_of_notebook,
    "oasv2-json": native_parsers.check_json,
    "oasv3-json": native_parsers.check_json,
    "json-with-comments": native_parsers.check_json_with_comments,
    "toml": native_parsers.check_toml,
    "yaml": native_parsers.check_yaml,
    "oasv2-yaml": native_parsers.check_yaml,
    "oasv3-yaml": native_parsers.check_yaml,
    "xml": native_parsers.check_xml,
    "maven-pom": native_parsers.check_xml,
    "xml-property-list": native_parsers.check_xml,
    "svg": native_parsers.check_xml,
}


def check_syntax(
    text: str, language: str | None, path: str, clock: Callable[[], float] = time.process_time
) -> SyntaxResult:
    """The verdict of the language's parser: ok, error or skipped.

    An error needs a second opinion. What does not fit and is torn (it ends half-way, brackets are left over, marks of
    a conflict, bytes that are no text) is one; what is whole is skipped and tagged ``dialect``: macros, extensions
    and compilers newer than the grammar look like this. A header or a template is skipped and tagged: without the
    macros and the values it is written for, nobody can tell. Python 2 is ok and tagged ``python2``.
    """
    if language is None or not (
        language in _NATIVE or grammars.knows(language) or language in brackets.LANGUAGES
    ):
        return SyntaxResult("skipped", "none", f"no parser for {language or 'an unknown language'}")
    if path.endswith(".phpt"):
        text = open_blocks.program_of_phpt(text)
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > CAP_BYTES:
        return SyntaxResult("skipped", "none", f"{size} bytes, parsed up to {CAP_BYTES}")
    native = _NATIVE.get(language)
    if native is not None:
        found = native(text, path)
        return _excused(found, text, path, language) if found.verdict == "error" else found
    if not grammars.knows(language):
        return _by_brackets(text, language, path)
    placed = grammars.place(text, language, path, _Deadline(clock))
    return placed if isinstance(placed, SyntaxResult) else _second_opinion(placed, text, path, language)


def _by_brackets(text: str, language: str, path: str) -> SyntaxResult:
    """The verdict where no grammar is: brackets that are left over, else skipped.

    On 1,741 files of Dart, SCSS, Less, CUDA, GLSL, HLSL, Solidity and Protobuf they were left over in three, none of
    them whole; of those that were cut at random 0.88 leave some over.
    """
    balance = brackets.balance(text, language)
    if balance.is_whole or not _is_left_over(text, balance):
        return SyntaxResult("skipped", "brackets", f"no grammar for {language}; its brackets are whole")
    found = SyntaxResult("error", "brackets", str(balance))
    return found if balance.is_conditional else _excused(found, text, path, language)


def _is_left_over(text: str, balance: brackets.Balance) -> bool:
    """Whether a brace is, or a comment or ``#if`` goes on: a parenthesis may be one of prose called ``README.vs``."""
    if balance.unended is not None:
        return True
    lines = text.split("\n")
    places = (
        *[(number, "{") for number in balance.unclosed],
        *[(number, "}") for number in balance.unopened],
    )
    return any(brace in lines[number - 1] for number, brace in places)


def _second_opinion(placed: grammars.Placed, text: str, path: str, language: str) -> SyntaxResult:
    """Drop what is torn; what is whole and does not fit is written for a newer compiler, or with macros."""
    if placed.is_clean:
        endless = open_blocks.of_ruby(text) if language == "ruby" else ""
        found = SyntaxResult("error", placed.parser, endless)
        return _excused(found, text, path, language) if endless else SyntaxResult("ok", placed.parser)
    torn = find_tear(text)
    if torn:
        return SyntaxResult("error", placed.parser, torn)
    torn = _torn(placed, text, language, path)
    if torn:
        found = SyntaxResult("error", placed.parser, torn)
        # A header may open a block that another one closes, but not an #if.
        ends_in_condition = language in brackets.LANGUAGES and brackets.balance(text, language).is_conditional
        return found if ends_in_condition else _excused(found, text, path, language)
    detail = f"line {placed.line}: {placed.detail}"
    if placed.fits:
        return SyntaxResult("ok", placed.parser, detail)
    return _excused(
        SyntaxResult("skipped", placed.parser, f"{detail}, but it is whole", ("dialect",)),
        text,
        path,
        language,
    )


def _torn(placed: grammars.Placed, text: str, language: str, path: str) -> str:
    """Why the text is no whole file, empty where it may be one."""
    if language in brackets.LANGUAGES:
        balance = brackets.balance(text, language)
        if balance.is_whole:
            return open_blocks.of_php(text) if language == "php" else ""
        return str(balance)
    if language in words.LANGUAGES:
        return words.find_cut(text, language, path) if placed.reaches_end or language != "shell" else ""
    is_torn = placed.reaches_end and (placed.share >= 1 or not grammars.goes_on(text, language))
    return f"line {placed.line}: {placed.detail}, to the end of the file" if is_torn else ""


class _Deadline:
    """True once the time of one file is over. A safety net: the step budget of grammars.py decides first.

    Processor time: on a busy machine a file must not be given up that is read on an idle one.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = clock() + CAP_SECONDS

    def __call__(self) -> bool:
        return self._clock() > self._end


def _excused(found: SyntaxResult, text: str, path: str, language: str) -> SyntaxResult:
    """An error in a header or a template, turned into a tag, unless the file is torn beyond doubt."""
    torn = find_tear(text)
    if torn:
        return SyntaxResult("error", found.parser, torn)
    if _HEADER.search(path):
        return SyntaxResult("skipped", found.parser, f"header: {found.detail}", ("header",))
    if _TEMPLATE_NAME.search(path) or _TEMPLATE_MARK.search(text) or ("<?php" in text and language != "php"):
        return SyntaxResult("skipped", found.parser, f"template: {found.detail}", ("templated",))
    return found
