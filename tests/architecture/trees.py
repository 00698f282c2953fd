"""Every source tree, parsed once: what the tests of this folder look at."""

from __future__ import annotations

import ast
from pathlib import Path

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


TEXTS = {dotted(path): path.read_text() for path in MODULES}
TREES = {name: ast.parse(text) for name, text in TEXTS.items()}
NODES = {name: list(ast.walk(tree)) for name, tree in TREES.items()}
"""Every node of a tree: walking them again and again is what takes the time."""
Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = [
    (f"{name} {node.name}", node)
    for name, nodes in NODES.items()
    for node in nodes
    if isinstance(node, Function)
]
