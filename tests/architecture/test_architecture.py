"""The house rules that a machine can hold, over every source tree: a number that worsens fails here.

Import directions are held by import-linter (``make check``); here only that its configuration forgets no room.
"""

from __future__ import annotations

import ast
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.trees import (
    MODULES,
    PACKAGES,
    PROJECTS,
    ROOT,
    Function,
    all_functions,
    all_nodes,
    all_texts,
    all_trees,
    dotted,
)

PURE = (Path(__file__).parent / "pure_modules.txt").read_text().split()

MAX_FUNCTION_LINES = 60
P95_FUNCTION_LINES = 40
MAX_FILE_LINES = 400
MAX_POSITIONAL = 5
TAKE_MORE = {
    "daybreak_data.documents.step _finish",
    "daybreak_data.documents.ingest _write",
    "daybreak_data.shards.step write_missing",
    "daybreak_pipelines.estimate seconds_left",
    "daybreak_train.loop.callbacks __init__",
    "daybreak_train.loop.composer_adapter fit",
}
"""Functions that take more than that; the list only ever gets shorter."""
UNANNOTATED = {"daybreak_data.sources.directory _loader"}
"""Likewise."""


def length_of(node: Function) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


@pytest.mark.slow
def test_every_room_is_seen() -> None:
    assert {package.name for package in PACKAGES} >= {
        "daybreak_contracts",
        "daybreak_data",
        "daybreak_evaluate",
        "daybreak_model",
        "daybreak_operator",
        "daybreak_pipelines",
        "daybreak_serve",
        "daybreak_train",
    }
    assert len(all_trees()) > 50


class TestLayout:
    def test_no_project_folder_hides_a_module_of_the_standard_library(self) -> None:
        """A package named ``operator`` on the path breaks the standard library."""
        assert (ROOT / "operator").is_dir()
        hiding = [name for name in sys.stdlib_module_names if (ROOT / name / "__init__.py").exists()]
        assert hiding == []

    def test_every_package_is_typed(self) -> None:
        assert [package.name for package in PACKAGES if not (package / "py.typed").exists()] == []

    def test_test_folders_are_no_packages(self) -> None:
        assert sorted((ROOT / "tests").rglob("__init__.py")) == []

    def test_no_module_is_named_after_nothing(self) -> None:
        empty = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc|stuff)(_|$)")
        assert [name for name in all_trees() if any(empty.search(part) for part in name.split("."))] == []

    def test_nothing_is_left_to_do(self) -> None:
        mark = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\w)")
        marked = [
            dotted(path)
            for path in MODULES
            for line in all_texts()[dotted(path)].splitlines()
            if "#" in line and mark.search(line.partition("#")[2])
        ]
        assert marked == []

    def test_every_member_is_a_project_of_the_workspace(self) -> None:
        members = {
            tomllib.loads((project / "pyproject.toml").read_text())["project"]["name"] for project in PROJECTS
        }
        sources = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["sources"]
        assert members == set(sources)

    @pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
    def test_only_rooms_that_may_know_each_other_depend_on_each_other(self, project: Path) -> None:
        allowed = {
            "contracts": set[str](),
            "model": {"contracts"},
            "data": {"contracts", "model"},
            "train": {"contracts", "model"},
            "evaluate": {"contracts", "model"},
            "serve": {"contracts", "model"},
            "operator": {"contracts"},
            "pipelines": {"contracts"},
        }
        wanted = tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
        names = {re.split(r"[\[<>=~; ]", line)[0] for line in wanted}
        rooms = {name.removeprefix("daybreak-") for name in names if name.startswith("daybreak-")}
        assert rooms <= allowed[project.name]


class TestImage:
    """One container file makes every room's image; tests/packaging looks at what each holds."""

    path = ROOT / "Dockerfile"

    def test_it_follows_the_rules_for_dockerfiles(self) -> None:
        linter = Path(sys.executable).with_name("hadolint")
        done = subprocess.run([linter, "--no-color", self.path], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")

    def test_it_is_the_only_one(self) -> None:
        found = subprocess.run(
            ["git", "ls-files", "*Dockerfile*"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert found.stdout.split() == ["Dockerfile"]

    def test_it_installs_the_lock_and_runs_as_nobody_special(self) -> None:
        text = self.path.read_text()
        assert "uv sync --frozen --no-dev --no-editable" in text
        assert re.search(r"^USER 10001$", text, re.MULTILINE)
        assert "${PYTHON_TAG}${PYTHON_DIGEST}" in text, "a release pins the base by digest"
        assert text.count('ENTRYPOINT ["python", "-m"]\n') == 1, "pods say which module (docs/decisions/0007)"
        for room in ("operator", "data", "train", "evaluate", "pipelines"):
            assert f"daybreak_{room}.__main__" in all_trees()
        assert "module=daybreak_serve.pod " in text
        assert "daybreak_serve.pod.__main__" in all_trees()


class TestImportContracts:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

    def modules(self, name: str, key: str) -> set[str]:
        (contract,) = [found for found in self.config["contracts"] if found["name"] == name]
        return set(contract[key])

    def test_every_package_is_a_root(self) -> None:
        assert set(self.config["root_packages"]) == {package.name for package in PACKAGES}

    def test_contracts_may_import_no_room(self) -> None:
        forbidden = self.modules("contracts imports no other room", "forbidden_modules")
        assert forbidden >= {package.name for package in PACKAGES} - {"daybreak_contracts"}

    def test_every_component_is_independent_and_knows_no_cluster(self) -> None:
        components = {package.name for package in PACKAGES if "components" in package.parts} - {
            "daybreak_contracts"
        }
        shared = {"daybreak_model"}
        assert self.modules("components do not import each other", "modules") == components - shared
        cluster = "components know neither Kubeflow nor Kubernetes"
        assert self.modules(cluster, "source_modules") == components
        assert self.modules(cluster, "forbidden_modules") >= {
            "kfp",
            "kopf",
            "kubernetes",
            "daybreak_pipelines",
        }

    @pytest.mark.slow
    def test_contracts_bring_little_along(self) -> None:
        """Every image holds the contracts: what they import, all images install; pages are an extra."""
        few = {"daybreak_contracts", "fsspec", "pyarrow", "pydantic", "pydantic_core", "yaml"}
        wanted = {
            (node.module or "").split(".")[0]
            if isinstance(node, ast.ImportFrom)
            else node.names[0].name.split(".")[0]
            for name, nodes in all_nodes().items()
            if name.startswith("daybreak_contracts") and not name.startswith("daybreak_contracts.report")
            for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert wanted - few - sys.stdlib_module_names == set()

    def test_pipelines_import_components_inside_functions_only(self) -> None:
        """The command line and the pipeline definitions must not load Spark or torch to start."""
        components = tuple(package.name for package in PACKAGES if "components" in package.parts)
        allowed = "daybreak_contracts"
        early = [
            f"{name}: {module}"
            for name, tree in all_trees().items()
            if name.startswith("daybreak_pipelines")
            for module in early_imports(tree)
            if module.startswith(components) and not module.startswith(allowed)
        ]
        assert early == []


def early_imports(tree: ast.Module) -> Iterator[str]:
    """Modules imported when the module itself is (also below ``if`` and ``try``)."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif not isinstance(node, Function):
            waiting += ast.iter_child_nodes(node)


class TestSize:
    def test_no_function_is_long(self) -> None:
        long = {
            where: length_of(node) for where, node in all_functions() if length_of(node) > MAX_FUNCTION_LINES
        }
        assert long == {}

    def test_nearly_all_functions_are_short(self) -> None:
        lengths = sorted(length_of(node) for _, node in all_functions())
        assert lengths[int(0.95 * len(lengths))] <= P95_FUNCTION_LINES

    def test_no_file_is_long(self) -> None:
        lines = {name: len(text.splitlines()) for name, text in all_texts().items()}
        assert {name: count for name, count in lines.items() if count > MAX_FILE_LINES} == {}

    def test_no_function_takes_many_positional_parameters(self) -> None:
        interface = (
            "daybreak_pipelines.kubeflow.components",
            "daybreak_pipelines.kubeflow.definitions",
        )  # Kubeflow's, not ours
        many = []
        for where, node in all_functions():
            names = [
                arg.arg for arg in [*node.args.posonlyargs, *node.args.args] if arg.arg not in ("self", "cls")
            ]
            if len(names) > MAX_POSITIONAL and not where.startswith(interface):
                many.append(where)
        assert set(many) <= TAKE_MORE


class TestWords:
    def test_every_module_says_what_it_owns(self) -> None:
        silent = [name for name, tree in all_trees().items() if tree.body and not ast.get_docstring(tree)]
        assert silent == []

    def test_every_public_function_and_class_says_what_it_is_for(self) -> None:
        kinds = (*Function.__args__, ast.ClassDef)
        silent = [
            f"{name}:{node.lineno} {node.name}"
            for name, tree in all_trees().items()
            for node in tree.body
            if isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node)
        ]
        assert silent == []

    def test_every_function_is_annotated(self) -> None:
        bare = {where for where, node in all_functions() if node.returns is None}
        assert bare <= UNANNOTATED

    def test_the_label_prefix_is_spelt_in_one_place(self) -> None:
        strays = [
            f"{name}:{node.lineno}"
            for name, nodes in all_nodes().items()
            for node in code_strings(nodes)
            if "daybreak.dev" in str(node.value) and name != "daybreak_contracts.names"
        ]
        assert strays == []


def code_strings(nodes: list[ast.AST]) -> Iterator[ast.Constant]:
    """Every text of a module that is no docstring."""
    documentation = {
        id(node.value)
        for node in nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node


WORLD = {
    "asyncio", "ctypes", "getpass", "glob", "http", "httpx", "kfp", "locale", "logging", "mlflow", "multiprocessing",
    "os", "platform", "queue", "requests", "resource", "secrets", "select", "shutil", "signal", "socket",
    "subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "uuid", "wandb",
}  # fmt: skip
"""What a pure module must not import: clock, environment, randomness, logging, files, processes, networks."""
ACTS = {"open", "print", "input", "exec", "eval", "__import__"}
CHANCES = {f"random.{name}" for name in dir(random) if name != "Random"}
FILE_ACTS = {
    "read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "iterdir", "unlink", "rmdir", "is_file",
    "is_dir", "now", "today", "utcnow", "environ", "getenv",
}  # fmt: skip


class TestPurity:
    def test_the_list_names_modules_once_and_in_order(self) -> None:
        assert sorted(set(PURE)) == PURE
        assert [name for name in PURE if name not in all_trees()] == [], (
            "moved? move it in pure_modules.txt too"
        )

    @pytest.mark.parametrize("name", PURE)
    def test_pure_modules_ask_nothing_of_the_world(self, name: str) -> None:
        assert list(touches(all_nodes()[name])) == []

    def test_what_the_operator_decides_is_pure(self) -> None:
        core = [name for name in all_trees() if name.startswith("daybreak_operator.core")]
        found = {name: list(touches(all_nodes()[name])) for name in core}
        assert {name: places for name, places in found.items() if places} == {}


def touches(nodes: list[ast.AST]) -> Iterator[str]:
    """Every place where a module reaches out of its arguments. A seeded ``random.Random`` is an argument."""
    uses_random = any(isinstance(node, ast.Import) and node.names[0].name == "random" for node in nodes)
    for node in nodes:
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            yield from (f"line {line}: import {name}" for name in names if {name, name.split(".")[0]} & WORLD)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ACTS:
            yield f"line {line}: {node.func.id}()"
        elif isinstance(node, ast.Attribute) and node.attr in FILE_ACTS:
            yield f"line {line}: .{node.attr}"
        elif isinstance(node, ast.Attribute) and uses_random and ast.unparse(node) in CHANCES:
            yield f"line {line}: {ast.unparse(node)}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param("import os.path", 1, id="the environment"),
        pytest.param("def f():\n    from time import time", 1, id="the clock, imported late"),
        pytest.param("import random\nrandom.random()", 1, id="chance"),
        pytest.param("import random\nrandom.Random(3).random()", 0, id="chance with a seed"),
        pytest.param("def f(random):\n    return random.random()", 0, id="chance as an argument"),
        pytest.param("from datetime import datetime\ndatetime.now()", 1, id="today"),
        pytest.param("open('x')", 1, id="a file"),
        pytest.param("import logging", 1, id="a log"),
        pytest.param("import re", 0, id="nothing"),
    ],
)
def test_reaching_out_is_seen(source: str, found: int) -> None:
    assert len(list(touches(list(ast.walk(ast.parse(source)))))) == found
