"""What container files install is all that their programs import: a module that only the workspace has fails there."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tests.packaging.render import CHART, ROOT

CONTAINER_FILE = ROOT / "Dockerfile"
ROOMS = ("operator", "data", "train", "evaluate", "serve", "vllm", "pipelines")
CASE = re.compile(r"^ {6}([a-z |]+)\) packages=\"([^\"]*)\"", re.MULTILINE)
NEVER_INSTALLED = {"triton_python_backend_utils"}
"""Triton's own, there only inside of it."""
ONE_MACHINE_ONLY = {"cli.py: daybreak_serve", "run.py: daybreak_serve"}
"""`daybreak serve` and `daybreak run` are for a machine with the whole workspace."""
ONE_RUNTIME_ONLY = {"serve": {"backend.py: vllm"}}
"""What a room's image leaves to another's."""


def packages_of(room: str) -> list[str]:
    """Return the options by which the container file installs a room."""
    (options,) = [
        options for rooms, options in CASE.findall(CONTAINER_FILE.read_text()) if room in rooms.split(" | ")
    ]
    return str(options).replace("${ROOM}", room).split()


@cache
def installed_by(room: str) -> frozenset[str]:
    """Distributions that a room's image brings, by the lock."""
    wanted = ["--frozen", "--quiet", "--no-dev", "--no-hashes", "--no-header", "--no-annotate"]
    exports = [packages_of(room)]
    if room == "serve":  # Triton's Python backend loads its libraries from an environment of its own
        assert (
            "install .venv-triton triton.txt --project components/serve/triton" in CONTAINER_FILE.read_text()
        )
        exports.append(["--project", "components/serve/triton"])
    if room == "vllm":
        (default,) = re.findall(r"^ARG VLLM=(.*)$", CONTAINER_FILE.read_text(), re.MULTILINE)
        project = '--project "components/serve/vllm/${VLLM}"'
        assert f"install .venv-triton-vllm vllm.txt {project}" in CONTAINER_FILE.read_text()
        exports.append(["--project", f"components/serve/vllm/{default}"])
    lines = [line for options in exports for line in exported([*wanted, *options])]
    names = [re.split(r"[ =;<>\[]", line)[0] for line in lines if not line.startswith("./")]
    ours = [f"daybreak-{Path(line.removeprefix('-e ')).name}" for line in lines if "./" in line]
    return frozenset(normal(name) for name in [*names, *ours])


def exported(options: list[str]) -> list[str]:
    command = ["uv", "export", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.splitlines()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def source_of(room: str) -> Path:
    room = {"vllm": "serve"}.get(room, room)
    (source,) = [path for path in [ROOT / room / "src", ROOT / "components" / room / "src"] if path.is_dir()]
    return source


def imports(folder: Path) -> Iterator[tuple[str, str]]:
    """Every import, also inside functions: file, top-level module."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield file.name, node.module.split(".")[0]
            elif isinstance(node, ast.Import):
                yield from ((file.name, alias.name.split(".")[0]) for alias in node.names)


FAKE_UV = """#!/bin/sh
if [ "$1" = export ]; then
  printf '%s\\n' ./components/train numpy==2.4.6 'nvidia-cudnn-cu13==9.1 ; sys_platform == "linux"' \\
    nvidia-pytriton==0.7.0 'torch==2.15.0 ; python_version > "3"' torchmetrics==1.7.4 torchvision==0.29.2 \\
    triton==3.5 kfp==2.17.3
else
  echo "$@" >> "$CALLS"
fi
"""


@pytest.mark.parametrize(
    ("index", "left_out", "from_index"),
    [
        pytest.param("", set(), [], id="as-locked"),
        pytest.param(
            "https://index.example/cpu",
            {"torch", "torchvision", "triton", "nvidia-cudnn-cu13"},
            ["torch==2.15.0", "torchvision==0.29.2"],
            id="without-cuda",
        ),
    ],
)
def test_torch_and_what_is_built_for_it_come_from_one_index(
    tmp_path: Path, index: str, left_out: set[str], from_index: list[str]
) -> None:
    """Torchvision stayed the locked one, linked with CUDA: Composer did not load beside a torch without it."""
    stage = CONTAINER_FILE.read_text().split("\nFROM ")[1]
    (step,) = re.findall(r"^RUN (set -eu; task=(?:.*\\\n)*.*)$", stage, re.MULTILINE)
    (tmp_path / "uv").write_text(FAKE_UV)
    (tmp_path / "uv").chmod(0o755)
    calls = tmp_path / "calls"
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls)}
    environ |= {"ROOM": "train", "TORCH_INDEX": index}
    script = step.replace("/app", str(tmp_path / "app"))
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    [sync, *others] = [line.split() for line in calls.read_text().splitlines()]
    assert {name for flag, name in pairwise(sync) if flag == "--no-install-package"} == left_out
    installed = [line for line in others if "--index-url" in line]
    assert [line[-len(from_index) :] for line in installed] == ([from_index] if from_index else [])


by_image = pytest.mark.parametrize("room", ROOMS)


@pytest.mark.slow
@by_image
def test_an_image_holds_what_its_program_imports(room: str) -> None:
    brought = installed_by(room)
    providers = importlib.metadata.packages_distributions()
    missing = {
        f"{file}: {module}"
        for file, module in imports(source_of(room))
        if module not in sys.stdlib_module_names | NEVER_INSTALLED
        and not {normal(name) for name in providers.get(module, [module])} & brought
    }
    assert missing - ONE_MACHINE_ONLY == ONE_RUNTIME_ONLY.get(room, set())


@by_image
def test_an_image_is_named_as_the_chart_names_it(room: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    (rooms,) = re.findall(r"^ROOMS := (.*)$", makefile, re.MULTILINE)
    assert (room in rooms.split()) == (
        room != "vllm"
    )  # of 8 GB, and only some want it: made when it is named
    assert "--build-arg ROOM=$$room --tag daybreak/$$room:$(TAG)" in makefile
    assert room in (CHART / "values.schema.json").read_text()


def test_a_task_needs_nothing_of_kfp_but_kfp_itself(tmp_path: Path) -> None:
    """Images of components hold kfp without what it depends on: the Kubernetes client among it has 126 MB."""
    component = tmp_path / "component.py"
    component.write_text(
        "from kfp.dsl import *\n\n\ndef double(number: int) -> int:\n    return 2 * number\n"
    )
    told = {"inputs": {"parameterValues": {"number": 21}}}
    told["outputs"] = {
        "parameters": {"Output": {"outputFile": str(tmp_path / "output")}},
        "outputFile": str(tmp_path / "all"),
    }
    program = f"""
import runpy, sys
sys.argv = ["x", "--component_module_path", {str(component)!r}, "--function_to_execute", "double",
            "--executor_input", {json.dumps(told)!r}]
runpy.run_module("kfp.dsl.executor_main", run_name="__main__")
files = {{name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}}
print(sorted({{name.split(".")[0] for name, file in files.items() if "site-packages" in file}} - {{"_distutils_hack"}}))
"""
    environment = {**os.environ, "_KFP_RUNTIME": "true"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout.splitlines()[-1]) == ["kfp"]
    assert "42" in (tmp_path / "all").read_text()


def test_a_room_that_computes_nothing_installs_no_torch() -> None:
    for room in ("operator", "data"):
        assert {"torch", "nvidia-cudnn-cu12", "mosaicml-streaming"} & installed_by(room) == set()


def test_the_operators_image_goes_without_what_makes_pages() -> None:
    assert {"jinja2", "markupsafe"} & installed_by("operator") == set()
    assert {"jinja2", "markupsafe"} <= installed_by("data") & installed_by("evaluate") & installed_by(
        "pipelines"
    )


def test_images_carry_the_charts_version() -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    tags = set(re.findall(r"daybreak/\w+:(\d\S+)", CONTAINER_FILE.read_text()))
    assert tags == {version}


def test_the_container_file_names_every_member_of_the_workspace() -> None:
    """`uv sync` reads each member's project file before anything of ours is copied."""
    members = {
        path.parent.relative_to(ROOT)
        for path in [*ROOT.glob("components/*/pyproject.toml"), *ROOT.glob("*/pyproject.toml")]
    }
    copied = set(re.findall(r"^COPY (\S+)/pyproject.toml \1/$", CONTAINER_FILE.read_text(), re.MULTILINE))
    assert copied == {str(member) for member in members}
