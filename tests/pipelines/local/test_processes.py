"""Whatever a child starts, in whichever session, is found again and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daybreak_contracts import launch
from daybreak_pipelines.local import processes

TREE = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"])
print("ready", flush=True)
time.sleep(60)
"""
CHILD = """
import os, time
from daybreak_contracts import launch
launch.watch_launcher(os.environ)
print("ready", flush=True)
time.sleep(60)
"""
LAUNCHER = """
import os, pathlib, sys, time
from daybreak_contracts import launch
from daybreak_pipelines.local import processes
folder, code = pathlib.Path(sys.argv[1]), sys.argv[2]
environment = processes.environment_for(os.environ, launcher_pid=os.getpid(), results=folder, progress=folder / "p")
child = processes.start([sys.executable, "-c", code], environment, folder / "log")
print(environment[launch.LAUNCHER], flush=True)
time.sleep(60)
"""


def _wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def _environment(folder: Path) -> dict[str, str]:
    return processes.environment_for(
        os.environ, launcher_pid=os.getpid(), results=folder, progress=folder / "p"
    )


def test_stop_ends_children_in_other_sessions_and_those_that_ignore_termination(tmp_path: Path) -> None:
    environment = _environment(tmp_path)
    identity = environment[launch.LAUNCHER]
    log = tmp_path / "log"
    child = processes.start([sys.executable, "-c", TREE], environment, log)
    _wait_for(lambda: "ready" in log.read_text() and len(processes.members(identity)) == 3)
    assert processes.memory_bytes(identity) > 3 * 1_000_000  # three interpreters
    processes.stop(child, identity, grace_s=0.2)
    assert processes.members(identity) == []
    assert child.returncode is not None


@pytest.mark.slow
def test_a_child_whose_launcher_was_killed_ends_itself(tmp_path: Path) -> None:
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(tmp_path), CHILD], stdout=subprocess.PIPE, text=True
    )
    assert launcher.stdout is not None
    identity = launcher.stdout.readline().strip()
    _wait_for(lambda: "ready" in (tmp_path / "log").read_text())
    assert len(processes.members(identity)) == 1
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()
    _wait_for(lambda: processes.members(identity) == [])


def test_a_gone_pid_has_no_identity(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert launch.identity_of(gone.pid) is None
    with pytest.raises(ProcessLookupError):
        processes.environment_for({}, launcher_pid=gone.pid, results=tmp_path, progress=tmp_path / "p")
