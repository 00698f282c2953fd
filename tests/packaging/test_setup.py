"""What set-up tells before it downloads anything, in a copy of the tree with a PATH of what is named here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("awk", "bash", "cmp", "cp", "dirname", "env", "grep", "id", "uname")
SOURCES = ("components/contracts/src/daybreak_contracts", "components/data/src/daybreak_data")
DOWNLOADERS = ("uv", "pip", "apt-get")
SECONDS = 20
"""A few are enough on a quiet machine."""


class Machine:
    """A machine that has what a test gives it: the system's Python, a Java, a disk, and downloaders that tell on us."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin, self.jvm, self.calls = (
            folder / name for name in ("root", "bin", "jvm", "calls")
        )
        self.bin.mkdir()
        self.jvm.mkdir()
        self.calls.touch()
        for name in TOOLS:
            found = shutil.which(name)
            assert found is not None, name
            (self.bin / name).symlink_to(found)
        for name in DOWNLOADERS:
            self.program(name, f'echo {name} "$@" >> {self.calls}')
        self.program("df", "echo header; echo disk 1 1 99999999 1% /")
        self.program("id", "echo 1000")
        self.program("python3", f'exec {sys.executable} "$@"')
        self.checkout()

    def checkout(self) -> None:
        self.root.mkdir()
        shutil.copy(ROOT / "setup.sh", self.root)
        for source in SOURCES:
            shutil.copytree(ROOT / source, self.root / source, ignore=shutil.ignore_patterns("__pycache__"))
        java = self.root / SOURCES[1] / "spark/java.py"
        text = java.read_text()
        folders = '"/usr/lib/jvm", "/usr/java", "/opt/java", "/Library/Java/JavaVirtualMachines"'
        assert folders in text
        java.write_text(text.replace(folders, f'"{self.jvm}",'))

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def java(self, version: str) -> None:
        home = self.jvm / "java"
        (home / "bin").mkdir(parents=True, exist_ok=True)
        (home / "bin/java").write_text("#!/bin/sh\n")
        (home / "bin/java").chmod(0o755)
        (home / "release").write_text(f'JAVA_VERSION="{version}"\n')

    def python(self, version: str) -> None:
        """Make every command that is sought a Python that says it is of this version."""
        major, minor = version.split(".")
        for name in ("python3", *(f"python3.{number}" for number in (11, 12, 13))):
            self.program(name, f'[ "$1" = -I ] && [ "$2" = -c ] && echo {major}.{minor}')

    def set_up(self, *arguments: str) -> tuple[int, str, float]:
        began = time.monotonic()
        text = (self.root / "setup.sh").read_text().replace("/usr/bin/python3", str(self.bin / "python3"))
        (self.root / "setup.sh").write_text(text)
        done = subprocess.run(
            [str(self.bin / "bash"), str(self.root / "setup.sh"), *arguments],
            env={"PATH": str(self.bin), "HOME": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stderr, time.monotonic() - began

    def refused(self, *arguments: str) -> str:
        """What set-up says: one sentence, exit 2, within seconds, and nothing was downloaded."""
        code, said, seconds = self.set_up(*arguments)
        assert code == 2, said
        assert len(said.splitlines()) == 1, said
        assert said.startswith("setup: ")
        assert not self.calls.read_text()
        assert seconds < SECONDS
        return said


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.java("17.0.9")
    return machine


def no_java(machine: Machine) -> None:
    shutil.rmtree(machine.jvm / "java")


def an_old_java(machine: Machine) -> None:
    machine.java("11.0.2")


def an_old_python(machine: Machine) -> None:
    machine.python("3.9")


def a_new_python(machine: Machine) -> None:
    machine.python("3.14")


def no_python(machine: Machine) -> None:
    (machine.bin / "python3").unlink()


def no_space(machine: Machine) -> None:
    machine.program("df", "echo header; echo disk 1 1 3145728 99% /")


@pytest.mark.parametrize(
    ("lack", "told"),
    [
        pytest.param(no_java, ("Java", "17 or newer", "apt-get install default-jre-headless"), id="no-java"),
        pytest.param(an_old_java, ("17 or newer", "apt-get install default-jre-headless"), id="java-too-old"),
        pytest.param(an_old_python, ("3.11, 3.12 or 3.13", "is 3.9", "install"), id="python-too-old"),
        pytest.param(a_new_python, ("3.11, 3.12 or 3.13", "is 3.14", "install"), id="python-too-new"),
        pytest.param(no_python, ("3.11, 3.12 or 3.13", "is missing", "install"), id="no-python"),
        pytest.param(no_space, ("need 10 GB", "3 GB are free", "free some"), id="no-space"),
    ],
)
def test_what_is_missing_is_one_sentence_with_the_remedy(
    machine: Machine, lack: Callable[[Machine], None], told: tuple[str, ...]
) -> None:
    lack(machine)
    said = machine.refused()
    assert all(text in said for text in told), said


def test_a_python_without_its_shared_library_is_told(machine: Machine) -> None:
    lonely = f'[ "$2" = -c ] && [[ "$3" == *libpython* ]] && echo && exit; exec {sys.executable} "$@"'
    machine.program("python3", lonely)
    said = machine.refused()
    assert f"apt-get install libpython{sys.version_info.major}.{sys.version_info.minor}" in said


def test_root_on_debian_has_the_package_installed(machine: Machine) -> None:
    shutil.rmtree(machine.jvm / "java")
    machine.program("id", "echo 0")
    code, said, _ = machine.set_up()
    assert code == 2, said  # the apt-get of this machine installs nothing
    assert "apt-get install -y -qq --no-install-recommends default-jre-headless" in machine.calls.read_text()
    assert "Spark needs a Java runtime" in said.splitlines()[-1]


def test_an_argument_that_is_none_is_told(machine: Machine) -> None:
    assert "no argument but --vllm, got --vlm" in machine.refused("--vlm")


def test_vllm_needs_room_of_its_own(machine: Machine) -> None:
    machine.program("df", "echo header; echo disk 1 1 12582912 99% /")
    assert "need 20 GB and 12 GB are free" in machine.refused("--vllm")
    for folder in (".venv", ".venv-triton-vllm"):
        (machine.root / folder).mkdir()
    (machine.bin / "uv").unlink()
    machine.program("uv", "exit 3")
    assert "GB" not in machine.set_up("--vllm")[1]


@pytest.mark.parametrize(
    ("gpus", "project"),
    [pytest.param(False, "cpu", id="a processor"), pytest.param(True, "cuda", id="a GPU")],
)
def test_vllm_is_installed_when_it_is_asked_for(machine: Machine, gpus: bool, project: str) -> None:
    if gpus:
        machine.program("nvidia-smi", "exit 0")
    complete(machine, f"components/serve/vllm/{project}/uv.lock")
    code, said, _ = machine.set_up("--vllm")
    assert code == 0, said
    assert machine.calls.read_text().splitlines()[-1].endswith(f"--project components/serve/vllm/{project}")


def complete(machine: Machine, *locks: str) -> None:
    """Let a machine lack nothing."""
    folder = "$UV_PROJECT_ENVIRONMENT/bin"
    environment = f'mkdir -p "{folder}"; ln -sf {sys.executable} "{folder}/python"'
    for name in ("mkdir", "ln"):
        (machine.bin / name).symlink_to(str(shutil.which(name)))
    machine.program("uv", f'echo uv "$@" >> {machine.calls}; [ "$1" != sync ] || {{ {environment}; }}')
    for name in ("uv.lock", "components/serve/triton/uv.lock", *locks):
        (machine.root / name).parent.mkdir(parents=True, exist_ok=True)
        (machine.root / name).write_text("lock\n")


def test_a_machine_that_lacks_nothing_is_set_up(machine: Machine) -> None:
    complete(machine)
    for _ in range(2):
        code, said, _ = machine.set_up()
        assert code == 0, said
    syncs = machine.calls.read_text().splitlines()
    assert len(syncs) == 2, "the second time there is nothing to do"
    assert all("--frozen" in line for line in syncs)
    assert ["components/serve/triton" in line for line in syncs] == [False, True]
    assert "Java 17" in said.splitlines()[-1]


def test_what_was_compiled_is_kept() -> None:
    """Where the environment forbids it, every process compiled anew what it imported, torch and pandas too."""
    probe = ["make", "--silent", "--eval=probe: ; @env", "probe"]
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(probe, cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    assert "PATH=" in done.stdout
    assert "PYTHONDONTWRITEBYTECODE" not in done.stdout
