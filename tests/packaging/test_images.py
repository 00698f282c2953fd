"""What container files install is all that their programs import: a module that only the workspace has fails there."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.packaging.render import CHART, ROOT

CONTAINER_FILES = sorted([*ROOT.glob("components/*/Dockerfile"), *ROOT.glob("*/Dockerfile")])
SYNC = re.compile(r"^RUN uv sync (.*)$", re.MULTILINE)
NEVER_INSTALLED = {"triton_python_backend_utils"}
"""Triton's own, there only inside of it."""
ONE_MACHINE_ONLY = {"cli.py: daybreak_serve", "run.py: daybreak_serve"}
"""`daybreak serve` and `daybreak run` are for a machine with the whole workspace."""


@cache
def installed_by(container_file: Path) -> frozenset[str]:
    """Distributions that the file's ``uv sync`` brings, by the lock."""
    (options,) = SYNC.findall(container_file.read_text())
    wanted = [option for option in options.split() if option not in ("--no-editable", "--frozen")]
    command = ["uv", "export", "--frozen", "--quiet", "--no-hashes", "--no-header", "--no-annotate", *wanted]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    names = [
        re.split(r"[ =;<>\[]", line)[0] for line in done.stdout.splitlines() if not line.startswith("./")
    ]
    ours = [
        f"daybreak-{Path(line.removeprefix('-e ')).name}" for line in done.stdout.splitlines() if "./" in line
    ]
    return frozenset(normal(name) for name in [*names, *ours])


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def source_of(container_file: Path) -> Path:
    return container_file.parent / "src"


def imports(folder: Path) -> Iterator[tuple[str, str]]:
    """Every import, also inside functions: file, top-level module."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield file.name, node.module.split(".")[0]
            elif isinstance(node, ast.Import):
                yield from ((file.name, alias.name.split(".")[0]) for alias in node.names)


by_image = pytest.mark.parametrize("container_file", CONTAINER_FILES, ids=lambda path: path.parent.name)


@by_image
def test_an_image_holds_what_its_program_imports(container_file: Path) -> None:
    brought = installed_by(container_file)
    providers = importlib.metadata.packages_distributions()
    missing = {
        f"{file}: {module}"
        for file, module in imports(source_of(container_file))
        if module not in sys.stdlib_module_names | NEVER_INSTALLED
        and not {normal(name) for name in providers.get(module, [module])} & brought
    }
    assert missing - ONE_MACHINE_ONLY == set()


@by_image
def test_an_image_is_named_as_the_chart_names_it(container_file: Path) -> None:
    name = container_file.parent.name
    assert f"-t daybreak/{name}:" in container_file.read_text()
    assert name in (CHART / "values.schema.json").read_text()


def test_images_carry_the_charts_version() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    tags = {tag for file in CONTAINER_FILES for tag in re.findall(r"-t daybreak/\w+:(\S+)", file.read_text())}
    assert tags == {version}
