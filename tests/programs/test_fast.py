"""A fast test that starts what takes long fails and is told what to write; the others may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins import guard

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow  # runs of pytest within
STARTING = """
import os, subprocess, sys
import pytest
from tests.plugins.needs import starts

PROGRAM = {program!r}

@pytest.fixture
@starts("jvm")
def java():
    return PROGRAM

@pytest.fixture
def other(java):
    return java

def run(*command):
    try:
        return subprocess.run(command).returncode
    except OSError:  # as code does that goes on without the program
        return None

def test_at_once():
    run(PROGRAM)

def test_below():
    subprocess.run([sys.executable, "-c", f"import os; os.execv({{PROGRAM!r}}, ['java'])"], stderr=subprocess.DEVNULL)

@pytest.mark.needs("jvm")
def test_marked():
    assert run(PROGRAM) == 0

def test_by_its_fixture(other):
    assert run(other) == 0

def test_nothing():
    assert run(sys.executable, "-c", "") == 0

def test_computing():
    before = sum(os.times()[:2])
    while sum(os.times()[:2]) < before + 1.1:
        pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A file of tests that start a program named java, or do not."""
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    shutil.copy2("/bin/true", program)
    file = tmp_path / "test_starting.py"
    file.write_text(STARTING.format(program=str(program)))
    return file


def outcome(suite: Path, *options: str) -> tuple[str, set[str]]:
    """Run the suite; return what was written and the tests that did not pass."""
    plugins = ["-p", "tests.plugins.needs", "-p", "tests.plugins.fast", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *plugins, "-q", "-rf", f"--rootdir={suite.parent}", *options]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    done = subprocess.run(
        [*command, str(suite)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    failed = {
        line.split("::")[1].split()[0] for line in done.stdout.splitlines() if line.startswith("FAILED")
    }
    return done.stdout, failed


def test_of_a_fast_run_both_are_caught_and_told_the_mark(suite: Path) -> None:
    text, failed = outcome(suite, "-m", "fast")
    assert failed == {"test_at_once", "test_below"}
    assert "test_at_once is one of the fast tests, but starts" in text
    assert "pytest.mark.needs('jvm')" in text
    assert "2 passed, 2 deselected" in text.replace("2 failed, ", "")


def test_of_a_whole_run_a_fast_test_is_caught_too(suite: Path) -> None:
    _, failed = outcome(suite)
    assert failed == {"test_at_once"}


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        pytest.param([sys.executable, "-m", "torch.distributed.run", "x.py"], "torchrun", id="torchrun"),
        pytest.param(["/venv/pyspark/bin/spark-submit", "pyspark-shell"], "jvm", id="Spark's script"),
        pytest.param(["/venv/pyspark/./bin/spark-submit", "pyspark-shell"], "jvm", id="as PySpark calls it"),
        pytest.param([sys.executable, "--language", "java"], None, id="a word that is no program"),
        pytest.param(["nowhere/java", "-version"], None, id="a program that is not there"),
    ],
)
def test_what_a_command_starts(command: list[str], kind: str | None) -> None:
    assert guard.kind_of(command) == kind


def test_a_script_that_plays_a_program_is_none(tmp_path: Path) -> None:
    script = tmp_path / "java"
    script.write_text("#!/bin/sh\n")
    assert guard.kind_of([str(script)]) is None
    shutil.copy2("/bin/true", script)
    assert guard.kind_of([str(script)]) == "jvm"


def test_pure_core_asks_for_nothing() -> None:
    """Choosing these folders starts no build, no cluster, no Java."""
    core = [f"tests/operator/{folder}" for folder in ("capacity", "deployment", "training")]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "not fast and not slow", *core]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "no tests collected" in done.stdout, done.stdout


def test_what_computes_for_long_is_named(suite: Path) -> None:
    out, _ = outcome(suite, "-m", "fast")
    named = out.partition("compute for too long to be fast")[2]
    assert "::test_computing" in named
    assert "::test_nothing" not in named
    assert "too long to be fast" not in outcome(suite)[0], "who runs all of them has not asked"
