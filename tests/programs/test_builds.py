"""Programs that tests lack are built beside those that need none, which come first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow  # runs of pytest within
GO = """#!/bin/sh
case "$1" in
list) printf 'internal/cpu\\nmain\\n' ;;
build)
  while [ "$1" != -o ]; do shift; done
  echo main >&2
  sleep 2
  touch "$2" ;;
esac
"""
SUITE = """
import os, time
from pathlib import Path
import pytest
from tests.cluster import binaries

HELM = binaries.kept_at(binaries.PROGRAMS["helm"], os.environ)

@pytest.mark.needs("programs")
def test_that_needs_it():
    assert HELM.exists()

def test_that_needs_nothing():
    pass
"""
PLAIN = """
def test_in_another_file():
    pass
"""

NAMESAKE = """
import pytest

@pytest.fixture
def cluster():
    return []

def test_namesake(cluster):
    assert cluster == []
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Two files; the first has a test that needs what no machine has built."""
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_a.py").write_text(SUITE)
    (folder / "test_b.py").write_text(PLAIN)
    return folder


def played(suite: Path, *options: str, go: str | None) -> str:
    """Run the suite on a machine with this Go, or none, and an empty cache; return what a person sees."""
    path = suite.parent / "bin"
    path.mkdir()
    if go is not None:
        (path / "go").write_text(go)
        (path / "go").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{path}:/usr/bin:/bin",
        "XDG_CACHE_HOME": str(suite.parent / "cache"),
    }
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    plugins = [
        f"-ptests.{name}"
        for name in ("plugins.needs", "plugins.groups", "cluster.fixtures", "plugins.builds")
    ]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *plugins,
        "-pno:cacheprovider",
        "-v",
        "-rs",
        "--timeout=1",
        *options,
    ]
    done = subprocess.run(
        [*command, f"--rootdir={suite}", str(suite)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def test_the_others_run_first_and_the_wait_is_not_the_tests_time(suite: Path) -> None:
    said = played(suite, go=GO)
    order = [line.split("::")[1].split()[0] for line in said.splitlines() if "::" in line]
    assert order == ["test_in_another_file", "test_that_needs_it", "test_that_needs_nothing"], said
    assert "3 passed" in said
    assert "building helm" in said
    assert "of 2 packages compiled" in said


def test_nothing_is_built_for_tests_that_were_not_chosen(suite: Path) -> None:
    said = played(suite, "-k", "nothing", go="#!/bin/sh\nexit 1\n")
    assert "1 passed" in said
    assert "building" not in said


def test_nothing_is_built_for_a_fixture_that_only_has_a_clusters_name(suite: Path) -> None:
    """A gateway's test called its own fixture `cluster`: the fast tests built an API server for it."""
    (suite / "test_c.py").write_text(NAMESAKE)
    said = played(suite, "-k", "namesake", go="#!/bin/sh\nexit 1\n")
    assert "1 passed" in said
    assert "building" not in said


def test_a_machine_without_go_runs_the_rest(suite: Path) -> None:
    said = played(suite, go=None)
    assert "test_in_another_file PASSED" in said
    assert "test_that_needs_nothing PASSED" in said
