"""Is a text a Python program that defines a function, and how much of it is one? For ``sanitize``.

Owns questions to CPython's own compiler; no source is run.
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Iterable

MAX_CUTS = 400
"""Lines with an error that are cut off, one after the other, before a text is given up."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def parse(source: str) -> ast.Module | None:
    """Return the tree of a source that compiles; None otherwise."""
    return None if error_line(source) is not None else ast.parse(source)


def error_line(source: str) -> int | None:
    """Return the line, from 1, of the first error; 0 for an error without a line; None for a source that compiles.

    Compiled, not only parsed: ``return`` outside a function is an error of the compiler's second look.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "<answer>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return 0
    return None


def answers(source: str, entry_point: str) -> bool:
    """Return whether a source compiles, defines the function with a body, and has no prose behind it."""
    tree = parse(source)
    if tree is None or first_prose(tree) is not None:
        return False
    return any(_has_body(node) for node in tree.body if _defines(node, entry_point))


def returns(source: str, entry_point: str) -> bool:
    """Return whether the function gives something back: one that lost its last line often does not."""
    tree = parse(source)
    found = [] if tree is None else [node for node in tree.body if _defines(node, entry_point)]
    gives = (ast.Return, ast.Yield, ast.YieldFrom, ast.Lambda)
    return bool(found) and any(isinstance(part, gives) for part in ast.walk(found[-1]))


def longest(source: str, num_given: int) -> str:
    """Return the longest beginning, in whole lines, that compiles and ends without prose.

    The first ``num_given`` lines stay, whatever they are.
    """
    lines = source.split("\n")
    for _ in range(MAX_CUTS):
        text = "\n".join(lines)
        line = error_line(text)
        if line is None:
            line = first_prose(ast.parse(text))
            if line is None:
                return text
        kept = min(max(line, num_given + 1), len(lines)) - 1
        if kept <= num_given:
            break
        lines = lines[:kept]
    return "\n".join(source.split("\n")[:num_given])


def first_prose(tree: ast.Module) -> int | None:
    """Return the line of the first top-level statement that is a word or two of prose: ``Explanation: none``."""
    known = {name for node in tree.body for name in _bound(node)}
    for node in tree.body:
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        if _is_word(node) and not names <= known | set(dir(builtins)):
            return node.lineno
    return None


def _is_word(node: ast.stmt) -> bool:
    """A statement that does nothing and that a word, or two with a colon, is taken for."""
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    return isinstance(node, ast.Expr) and not isinstance(
        node.value, ast.Call | ast.Await | ast.Yield | ast.YieldFrom | ast.Constant
    )


def without_tries(source: str, entry_point: str) -> str:
    """Return a source without the calls, prints and assertions that show in a chat answer how it works."""
    tree = parse(source)
    if tree is None:
        return source
    dropped = {
        line
        for node in tree.body
        if _is_try(node, entry_point) and node.end_lineno is not None
        for line in range(node.lineno, node.end_lineno + 1)
    }
    lines = source.split("\n")
    kept = "\n".join(line for number, line in enumerate(lines, 1) if number not in dropped)
    return kept if parse(kept) is not None else source


def unknown_names(source: str) -> set[str]:
    """Return names that a source uses and that neither it nor Python defines."""
    tree = parse(source)
    if tree is None:
        return set()
    used, bound = set(), set(dir(builtins))
    for node in ast.walk(tree):
        bound.update(_bound(node))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            used.add(node.id)
    return used - bound


def defined_names(source: str) -> set[str]:
    """Return the names that a source defines at its top level."""
    tree = parse(source)
    return set() if tree is None else {name for node in tree.body for name in _bound(node)}


def _bound(node: ast.AST) -> Iterable[str]:
    if isinstance(node, Function | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, ast.ExceptHandler) and node.name:
        yield node.name
    elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))


def _defines(node: ast.stmt, name: str) -> bool:
    return name in _bound(node)


def _has_body(node: ast.stmt) -> bool:
    """A function of a docstring, ``pass`` and itself once more has none; what is assigned is taken as it is."""
    if not isinstance(node, Function):
        return True
    return any(
        not isinstance(part, ast.Pass)
        and not _is_word(part)
        and not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        and not (isinstance(part, Function) and part.name == node.name)
        for part in node.body
    )


def _is_try(node: ast.stmt, entry_point: str) -> bool:
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    if isinstance(node, ast.If):
        return "__name__" in {part.id for part in ast.walk(node.test) if isinstance(part, ast.Name)}
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call) and bool(names & {entry_point, "print", "input"})
    return isinstance(node, ast.Assert)
