"""Tests in several processes: what is started once for a session is started in one of them, and long files go first."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow  # runs of pytest within
CONFTEST = """
import os
from pathlib import Path
import pytest

@pytest.fixture(scope="session")
def engine():
    with Path(__file__).with_name("started").open("a") as file:
        file.write(f"{os.getpid()}\\n")
"""
SHARING = """
import time

def test_it(engine):
    time.sleep(0.2)
"""
QUICK = """
def test_it():
    pass
"""
LONG = """
import pytest

@pytest.mark.needs("triton")
def test_it():
    pass
"""
MARKED = """
import os, time
from pathlib import Path
import pytest

@pytest.mark.xdist_group("alone")
def test_it():
    with Path(__file__).with_name("marked").open("a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(0.5)
"""


def spread_over_two(folder: Path) -> str:
    """Run the tests of a folder in two processes; return what pytest said."""
    plugins = [f"-ptests.plugins.{name}" for name in ("needs", "groups")]
    spread = ["--numprocesses=2", "--dist=loadgroup", "--no-loadscope-reorder", "-v", "-pno:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *plugins, *spread, f"--rootdir={folder}", str(folder)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.stdout


def test_files_of_one_marked_group_share_a_process(tmp_path: Path) -> None:
    """The marks had no effect: xdist's own reading of them had gone with our scheduler."""
    for name in "abc":
        (tmp_path / f"test_{name}.py").write_text(MARKED)
    said = spread_over_two(tmp_path)
    assert "3 passed" in said, said
    assert len(set((tmp_path / "marked").read_text().split())) == 1


def test_a_shared_fixture_is_started_once_and_long_files_begin_first(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    (room / "conftest.py").write_text(CONFTEST)
    for name in "abcd":
        (room / f"test_{name}.py").write_text(SHARING if name in "ad" else QUICK)
    (room / "test_e.py").write_text(LONG)
    said = spread_over_two(tmp_path)
    assert "5 passed" in said, said
    assert len((room / "started").read_text().split()) == 1
    begun = [said.index(f"test_{name}.py::") for name in "ebc"]
    assert begun == sorted(begun), said
