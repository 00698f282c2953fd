"""What failed beside other tests is asked once more, alone; what fails then too has failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow  # runs of pytest within
TESTS = """
from pathlib import Path

def test_that_fails_once(request):
    seen = Path(__file__).with_name("seen")
    assert seen.exists() or seen.write_text("") is None and False

def test_that_passes():
    with Path(__file__).with_name("passed").open("a") as file:
        file.write("x")
"""
FAILS = """
import pytest

@pytest.fixture
def broken():
    raise OSError("no such part")

def test_that_fails_always():
    assert False

def test_whose_part_is_broken(broken):
    pass
"""


def run(folder: Path, bound: int) -> subprocess.CompletedProcess[str]:
    options = [
        "-ptests.plugins.again",
        "-n2",
        "-pno:cacheprovider",
        f"--failed-again={bound}",
        f"--rootdir={folder}",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    environment["PYTEST_PLUGINS"] = "tests.plugins.again"
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_one_that_passes_alone_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    done = run(tmp_path, 3)
    assert done.returncode == 0, done.stdout
    last = done.stdout.strip().splitlines()[-2:]
    assert last[0] == "PASSED ONLY ALONE:"
    assert last[1].endswith("::test_that_fails_once")
    assert (tmp_path / "passed").read_text() == "x", "what passed is not run again"


@pytest.mark.parametrize("bound", [0, 1, 3])
def test_one_that_fails_alone_has_failed(tmp_path: Path, bound: int) -> None:
    """And where more fail than the bound, something is wrong with more than the time: nothing is asked again."""
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "test_broken.py").write_text(FAILS)
    done = run(tmp_path, bound)
    assert done.returncode == 1
    assert "PASSED ONLY ALONE" not in done.stdout
    assert ("once more, alone" in done.stdout) == (bound == 3)
