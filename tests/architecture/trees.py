"""Every source tree, parsed once: what the tests of this folder look at."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef
ROOT = Path(__file__).resolve().parents[2]
PROJECTS = sorted(
    path.parent for path in [*ROOT.glob("components/*/pyproject.toml"), *ROOT.glob("*/pyproject.toml")]
)
PACKAGES = sorted(folder for project in PROJECTS for folder in (project / "src").iterdir() if folder.is_dir())
MODULES = sorted(
    path for package in PACKAGES for path in package.rglob("*.py") if "compiled" not in path.parts
)


def dotted(path: Path) -> str:
    """``components/data/src/daybreak_data/rules/filters.py`` is ``daybreak_data.rules.filters``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    inside = parts[parts.index("src") + 1 :]
    return ".".join(inside[:-1] if inside[-1] == "__init__" else inside)


@cache
def all_texts() -> dict[str, str]:
    """Return the source of every module."""
    return {dotted(path): path.read_text() for path in MODULES}


@cache
def all_trees() -> dict[str, ast.Module]:
    """Return the syntax tree of every module: parsed when a test asks, not where tests are only collected."""
    return {name: ast.parse(text) for name, text in all_texts().items()}


@cache
def all_nodes() -> dict[str, list[ast.AST]]:
    """Return every node of a tree: walking them again and again is what takes the time."""
    return {name: list(ast.walk(tree)) for name, tree in all_trees().items()}


@cache
def all_functions() -> list[tuple[str, Function]]:
    """Return every function, by the module and its name."""
    return [
        (f"{name} {node.name}", node)
        for name, nodes in all_nodes().items()
        for node in nodes
        if isinstance(node, Function)
    ]
