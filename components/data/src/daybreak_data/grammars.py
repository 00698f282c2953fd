"""tree-sitter as judge of a text: how many bytes of it the grammar could not place.

Owns: the grammars, the budget of a parse and the share of errors that is forgiven. Parsers are made on
first use, one a language and process. Does not own: which files are excused (syntax.py).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from daybreak_data.verdicts import Syntax, error, skipped

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Query, Tree

MOST_IN_ERROR = 0.01
"""data.md (b) 9: ERROR or MISSING on more than 1 % of the bytes."""
STEPS_PER_BYTE, FREE_STEPS = 0.5, 5000
"""Steps of 100 parser operations that a file may take. Code takes under 0.03 a byte (measured); text made to
multiply the parser's stacks takes any number. Counting steps, not seconds: the same verdict on every machine."""

_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "java": ("tree_sitter_java", "language"),
    "go": ("tree_sitter_go", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "html": ("tree_sitter_html", "language"),
    "css": ("tree_sitter_css", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "csharp": ("tree_sitter_c_sharp", "language"),
    "shell": ("tree_sitter_bash", "language"),
}


def knows(language: str) -> bool:
    """Whether there is a grammar."""
    return language in _GRAMMARS


def is_clean(text: str, language: str) -> bool:
    """Whether the grammar places every byte."""
    tree = _parse(text.encode("utf-8", "surrogatepass"), language, lambda: False)
    return tree is not None and not tree.root_node.has_error


def check(text: str, language: str, path: str, is_late: Callable[[], bool]) -> Syntax:
    """Error if over 1 % of the bytes are in error, if one error spans the file, or if it ends half-way.

    A C header that is no C is read as C++ before it is judged: nothing in ``x.h`` says which it is.
    """
    data = text.encode("utf-8", "surrogatepass")
    found = _judge(data, language, is_late)
    if found.verdict == "error" and language == "c" and path.endswith(".h"):
        again = _judge(data, "cpp", is_late)
        return again if again.verdict == "ok" else found
    return found


def _judge(data: bytes, language: str, is_late: Callable[[], bool]) -> Syntax:
    parser = f"tree-sitter-{language}"
    tree = _parse(data, language, is_late)
    if tree is None:
        return skipped(parser, "takes too long to parse")
    root = tree.root_node
    if not root.has_error:
        return Syntax("ok", parser)
    faults = _faults(root, language)
    line = faults[0].start_point[0] + 1 if faults else root.start_point[0] + 1
    whole = root.is_error or any(fault.is_error and _spans(fault, root) for fault in faults)
    if whole:
        return error(parser, line, "nothing fits the grammar")
    share = _bytes_in_error(faults) / max(len(data), 1)
    if share > MOST_IN_ERROR:
        return error(parser, line, f"{share:.1%} of the bytes do not fit the grammar")
    if any(fault.is_missing and not data[fault.end_byte :].strip() for fault in faults):
        return error(parser, line, "ends half-way")
    return Syntax("ok", parser, f"line {line}: {share:.2%} of the bytes do not fit the grammar")


def _spans(fault: Node, root: Node) -> bool:
    return fault.start_byte <= root.start_byte and fault.end_byte >= root.end_byte


def _bytes_in_error(faults: list[Node]) -> int:
    """Bytes of all ERROR nodes, nested ones once; a MISSING node has no bytes and counts for one."""
    total = end = 0
    for fault in sorted(faults, key=lambda node: (node.start_byte, -node.end_byte)):
        if fault.is_missing:
            total += 1
        elif fault.end_byte > end:
            total += fault.end_byte - max(fault.start_byte, end)
            end = fault.end_byte
    return total


def _faults(root: Node, language: str) -> list[Node]:
    """All ERROR and MISSING nodes in the order of the text."""
    from tree_sitter import QueryCursor

    captures = QueryCursor(_query(language)).captures(root)
    return sorted(captures.get("fault", []), key=lambda node: node.start_byte)


def _parse(data: bytes, language: str, is_late: Callable[[], bool]) -> Tree | None:
    """The tree, or None when the budget is spent."""
    allowed = FREE_STEPS + int(STEPS_PER_BYTE * len(data))
    steps = 0

    def is_over(*_state: object) -> bool:
        nonlocal steps
        steps += 1
        return steps > allowed or (steps % 64 == 0 and is_late())

    try:
        # Only a parse from a callback can be interrupted; the whole rest at once costs no more than bytes do.
        return _parser(language).parse(lambda offset, _point: data[offset:], progress_callback=is_over)
    except ValueError:  # "Parsing failed": interrupted
        _parser(language).reset()
        return None


@cache
def _parser(language: str) -> Parser:
    from tree_sitter import Language, Parser

    module, function = _GRAMMARS[language]
    return Parser(Language(getattr(importlib.import_module(module), function)()))


@cache
def _query(language: str) -> Query:
    from tree_sitter import Query

    known = _parser(language).language
    if known is None:
        raise ValueError(f"the parser of {language} has lost its grammar")
    return Query(known, "(ERROR) @fault (MISSING) @fault")
