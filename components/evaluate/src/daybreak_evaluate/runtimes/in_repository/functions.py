"""Functions of a Python file whose bodies can be taken out.

Owns where a body begins and ends in the text. Pure.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

MIN_BODY_LINES, MAX_BODY_LINES = 2, 60
"""A line is an accident, more than a page is no completion."""
STUB = "raise NotImplementedError('taken out')\n"


@dataclass(frozen=True)
class MaskedFunction:
    """A function and the text around its body."""

    name: str
    """As ``Class.method``."""
    first_line: int
    """As Python's code objects have it: a decorator's, where there is one."""
    before: str
    """Everything up to the body; a docstring stays with it."""
    body: str
    behind: str

    def stubbed(self) -> str:
        """Return the file with a body that raises."""
        indent = self.body[: len(self.body) - len(self.body.lstrip(" \t"))]
        return f"{self.before}{indent}{STUB}{self.behind}"


def functions_in(text: str) -> Iterator[MaskedFunction]:
    """Yield the functions with a body of some lines; a file that is no Python has none."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    if "\r" in text.replace("\r\n", ""):
        return  # old Mac line ends: nobody has them, and line numbers would differ
    lines = [f"{line}\n" for line in text.split("\n")]  # no splitlines: a form feed ends no line of Python's
    lines[-1] = lines[-1][:-1]
    yield from _below(tree, "", lines)


def _below(node: ast.AST, owner: str, lines: list[str]) -> Iterator[MaskedFunction]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _below(child, f"{owner}{child.name}.", lines)
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _masked(child, owner, lines)
        elif isinstance(child, ast.If | ast.Try):
            yield from _below(child, owner, lines)


def _masked(
    node: ast.FunctionDef | ast.AsyncFunctionDef, owner: str, lines: list[str]
) -> Iterator[MaskedFunction]:
    statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not statements or statements[0].lineno == node.lineno:
        return
    begin = (
        min([statements[0].lineno, *(each.lineno for each in getattr(statements[0], "decorator_list", []))])
        - 1
    )
    end = node.end_lineno or begin
    body = "".join(lines[begin:end])
    if not MIN_BODY_LINES <= sum(bool(line.strip()) for line in lines[begin:end]) <= MAX_BODY_LINES:
        return
    if begin and lines[begin - 1].rstrip().endswith("\\"):
        return
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    yield MaskedFunction(f"{owner}{node.name}", first, "".join(lines[:begin]), body, "".join(lines[end:]))
