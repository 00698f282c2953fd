"""Triton as a process: what is checked before, told when it dies, and cleaned after."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.launch import identity_of
from daybreak_contracts.progress import Progress
from daybreak_serve.engine import installation, triton
from daybreak_serve.engine.repository import build_repository
from daybreak_serve.local.serving import listen
from daybreak_serve.modelfolder import ModelFolder
from daybreak_serve.process import Child
from tests.serve.conftest import group_of, new_server, slow_repository


def test_only_shared_memory_of_dead_owners_is_stale(tmp_path: Path) -> None:
    own = identity_of(os.getpid())
    assert own is not None
    dead = triton.shared_memory_prefix(f"{os.getpid()}:1", 1)  # our pid, but of an earlier process
    for name in (f"{triton.shared_memory_prefix(own, 1)}abc", f"{dead}abc", "daybreak_else", "other"):
        (tmp_path / name).touch()
    assert [path.name for path in triton.stale_regions(tmp_path)] == [f"{dead}abc"]


def test_the_lines_of_an_error_are_found_in_a_log() -> None:
    log = 'I1123 fine\nE1123 08:47:41 model.cc] "failed to load"\nmore of it'
    assert triton.why(log) == 'E1123 08:47:41 model.cc] "failed to load"\nmore of it'
    assert triton.why("nothing of interest") == "nothing of interest"


@pytest.mark.needs("triton")
def test_a_model_that_does_not_load_is_told_with_the_end_of_the_log(
    model: ModelFolder, tmp_path: Path
) -> None:
    repository = build_repository(model, tmp_path / "repository")
    (repository / "completion/1/model.py").write_text("raise RuntimeError('no such weights')\n")
    server = new_server(tmp_path)
    server.start()
    with pytest.raises(UserError, match="no such weights"):
        server.wait_ready(Progress("serve"))
    assert server.child.exit_code is not None
    assert list(Path("/dev/shm").glob(f"daybreak_{os.getpid()}_*_{triton.TritonServer._serial}_*")) == []


@pytest.mark.needs("triton")
def test_a_backend_that_ends_while_triton_waits_for_it_is_told(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "triton_python_backend_stub"
    program.write_text("#!/bin/sh\necho no library of Python >&2\nexit 127\n")
    program.chmod(0o755)
    monkeypatch.setattr(installation, "stub", lambda _: program)
    build_repository(model, tmp_path / "repository")
    server = new_server(tmp_path)
    server.start()
    with pytest.raises(UserError, match=r"(?s)backend ended before.*no library of Python"):
        server.wait_ready(Progress("serve"), 60)


@pytest.mark.needs("triton")
def test_a_port_that_was_taken_meanwhile_is_told(model: ModelFolder, tmp_path: Path) -> None:
    slow_repository(model, tmp_path)
    server = new_server(tmp_path)
    with listen("127.0.0.1", 0) as other:
        server.reach = replace(server.reach, port=other.getsockname()[1])
        server.start()
        with pytest.raises(UserError, match="before it was ready"):
            server.wait_ready(Progress("serve"))


SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
print('up', flush=True)
time.sleep(600)
"""


def start(code: str, tmp_path: Path) -> Child:
    child = Child([sys.executable, "-c", code], os.environ, tmp_path / "log")
    deadline = time.monotonic() + 20
    while "up" not in child.log_tail():
        assert time.monotonic() < deadline
        child.wait(0.02)
    return child


@pytest.mark.parametrize("code", [SLEEPER, STUBBORN, PARENT], ids=["willing", "stubborn", "with a child"])
def test_a_stopped_process_leaves_none_of_its_group(tmp_path: Path, code: str) -> None:
    child = start(code, tmp_path)
    child.stop(0.2)
    assert child.exit_code is not None
    deadline = time.monotonic() + 5
    while group_of(child.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.stop(0.2)  # again is no harm


@pytest.mark.slow
def test_a_child_dies_with_its_starter(tmp_path: Path) -> None:
    code = f"""
import os, sys, time
from pathlib import Path
from daybreak_serve.process import Child
child = Child([sys.executable, "-c", {SLEEPER!r}], os.environ, Path({str(tmp_path / "log")!r}))
while "up" not in child.log_tail():
    child.wait(0.02)
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert identity_of(pid) is not None
        starter.kill()
        starter.wait()
    deadline = time.monotonic() + 5
    while identity_of(pid) is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
