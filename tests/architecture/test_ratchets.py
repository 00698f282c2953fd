"""Numbers that may only get better: a ceiling here is lowered by whoever gets below it."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections import Counter, defaultdict

import pytest

from tests.architecture.trees import PACKAGES, ROOT, all_nodes

MAX_SHARED_CLASS_NAMES = 0
"""How many names of classes stand in more than one module."""
MAX_MODULES = 17
MAX_ANY = {"daybreak_operator.core": 13, "daybreak_operator.shell": 96}
"""How often a package says that something may be anything."""


def test_a_class_has_a_name_of_its_own() -> None:
    homes = defaultdict(set)
    for module, nodes in all_nodes().items():
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                homes[node.name].add(module)
    shared = {name: sorted(modules) for name, modules in homes.items() if len(modules) > 1}
    assert len(shared) <= MAX_SHARED_CLASS_NAMES, shared


@pytest.mark.parametrize("package", MAX_ANY)
def test_what_may_be_anything_becomes_less(package: str) -> None:
    said = {
        module: count
        for module, nodes in all_nodes().items()
        if module.startswith(f"{package}.")
        and (count := sum(isinstance(node, ast.Name) and node.id == "Any" for node in nodes))
    }
    assert sum(said.values()) <= MAX_ANY[package], said


def test_no_folder_holds_many_modules() -> None:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    folders = Counter(
        folder
        for folder, _, name in (path.rpartition("/") for path in listed.stdout.splitlines())
        if name != "__init__.py" and (ROOT / folder / name).exists()
    )
    large = {folder: count for folder, count in folders.items() if count > MAX_MODULES}
    assert large == {}


def test_every_room_has_its_layers() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    ordered = {
        name.split(".")[0]
        for contract in contracts
        if contract["type"] == "layers"
        for line in [*contract["layers"], *contract.get("containers", [])]
        for name in line.replace("|", ":").replace(" ", "").strip("()").split(":")
    }
    assert {package.name for package in PACKAGES} - ordered == set()
