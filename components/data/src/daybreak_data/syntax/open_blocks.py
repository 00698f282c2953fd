"""Blocks that words open and grammars do not miss: ``if (a):`` of PHP, here-documents of Ruby.

Owns the two, and where the program of a test of PHP stands. What brackets tell is brackets.py, the words of the shell
and of pages words.py; what a block that nothing ends leads to, check.py.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from daybreak_data.syntax import brackets, grammars

if TYPE_CHECKING:
    from tree_sitter import Node

_PARENTHESIS = re.compile(r"(?<![\w$>:\\])(if|while|for|foreach|switch|declare)\s*\(|[()]", re.IGNORECASE)
_ENDS = re.compile(r"(?<![\w$>:\\])end(if|while|for|foreach|switch|declare)\b(?!\s*\()", re.IGNORECASE)
_NAME_OF_METHOD = re.compile(r"\bfunction\s*&?\s*\Z", re.IGNORECASE)
_COLON = re.compile(r"\s*:(?!:)")
_MARK = re.compile(r"<<(?:[~-][\"'`]?(?=[a-z])|[~-]?[\"'`]?(?=[A-Z_])|[\"'`](?=[a-z]))(\w+)")

_PROGRAM_OF_PHPT = re.compile(
    r"^--FILE(?:EOF)?--[ \t]*\r?\n(.*?)(?=^--[A-Z][A-Z_]*--[ \t]*\r?$|\Z)", re.MULTILINE | re.DOTALL
)


def program_of_phpt(text: str) -> str:
    """The program of a test of PHP's own runner, on its lines; around it stand its title and what it must print."""
    found = _PROGRAM_OF_PHPT.search(text)
    return text if found is None else "\n" * text.count("\n", 0, found.start(1)) + found.group(1)


def of_php(text: str) -> str:
    """Say which block with a colon nothing ends, empty where each has its word. A file of PHP is whole by itself."""
    code = brackets.code_of(text, "php")
    opened = Counter(word for word in _with_colon(code))
    ended = Counter(found.group(1).lower() for found in _ENDS.finditer(code))
    name = next((name for name in opened if opened[name] > ended[name]), "")
    return f"{opened[name]} times '{name} ():' and {ended[name]} times 'end{name}'" if name else ""


def _with_colon(code: str) -> Iterator[str]:
    """One pass: each parenthesis is known by the word before it when it closes."""
    words: list[str] = []
    for found in _PARENTHESIS.finditer(code):
        if found.group() == ")":
            word = words.pop() if words else ""
            if word and _COLON.match(code, found.end()):
                yield word
            continue
        is_method = _NAME_OF_METHOD.search(
            code, max(0, found.start() - 20), found.start()
        )  # function for(): C
        words.append("" if is_method else (found.group(1) or "").lower())


def of_ruby(text: str) -> str:
    """Say where a here-document begins that the end of the file ends; its grammar finds nothing wrong with that."""
    marks = {found.group(1) for found in _MARK.finditer(text)}
    if not marks or marks <= {line.strip() for line in text.split("\n")}:
        return ""
    tree = grammars.tree_of(text.encode("utf-8", "surrogatepass"), "ruby")
    body = None if tree is None else _endless_body(tree.root_node)
    return "" if body is None else f"line {body.start_point[0] + 1}: nothing ends this here-document"


def _endless_body(root: Node) -> Node | None:
    cursor = root.walk()
    for _ in range(grammars.MOST_VISITED):
        node = cursor.node
        if node is not None and node.type == "heredoc_end" and node.start_byte == node.end_byte:
            return node.parent
        if cursor.goto_first_child():
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return None
    return None
