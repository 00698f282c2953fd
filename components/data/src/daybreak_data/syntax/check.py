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

from daybreak_data.syntax import grammars, native_parsers
from daybreak_data.syntax.result import SyntaxResult

__all__ = ["CAP_BYTES", "SyntaxResult", "check_syntax"]

CAP_BYTES = 1_000_000
CAP_SECONDS = 5.0
"""docs/thresholds.md: above 1 MB, or after 5 s of processor time, a file is kept unread."""

_HEADER = re.compile(r"\.(?:h|hh|hpp|hxx|h\+\+|inl|ipp|tpp|txx|tcc|inc|def)$", re.IGNORECASE)
_TEMPLATE_NAME = re.compile(
    r"\.(?:in|tmpl|tpl|template|j2|jinja2?|erb|ejs|mustache|hbs|mako)$|\.(?:in|tmpl)\.\w+$"
)
_TEMPLATE_MARK = re.compile(
    r"\{%-?\s*\w+|\{\{-?\s*[\w.$][\w.$]*(?:\s*\|[^{}\n]*)?\s*-?\}\}|<%[=@!-]?\s|\$\{\{|@@?[A-Z][A-Z0-9_]+@"
)
_NATIVE: dict[str, Callable[[str, str], SyntaxResult]] = {
    "python": native_parsers.check_python,
    "json": native_parsers.check_json,
    "jupyter-notebook": native_parsers.check_json,
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

    A header or a template with errors is skipped and tagged, never called an error: without the macros
    and the values it is written for, nobody can tell. Python 2 is ok and tagged ``python2``.
    """
    if language is None or (language not in _NATIVE and not grammars.knows(language)):
        return SyntaxResult("skipped", "none", f"no parser for {language or 'an unknown language'}")
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > CAP_BYTES:
        return SyntaxResult("skipped", "none", f"{size} bytes, parsed up to {CAP_BYTES}")
    native = _NATIVE.get(language)
    found = native(text, path) if native else grammars.check(text, language, path, _Deadline(clock))
    return _excused(found, text, path, language) if found.verdict == "error" else found


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
    """An error in a header or a template, turned into a tag."""
    if _HEADER.search(path):
        return SyntaxResult("skipped", found.parser, f"header: {found.detail}", ("header",))
    if _TEMPLATE_NAME.search(path) or _TEMPLATE_MARK.search(text) or ("<?php" in text and language != "php"):
        return SyntaxResult("skipped", found.parser, f"template: {found.detail}", ("templated",))
    return found
