"""`daybreak serve --runtime TritonVLLM`: what dies is started again, and nothing outlives a server that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from daybreak_contracts.errors import TransientError
from daybreak_serve.local import serving as local
from tests.serve.conftest import group_of
from tests.serve.local.test_local import processes_of

pytestmark = [pytest.mark.needs("triton"), pytest.mark.slow, pytest.mark.timeout(1500)]
SCRIPT = """
import sys
from pathlib import Path
from daybreak_serve.engine.repository import EngineSettings
from daybreak_serve.local.serving import ServeSettings, serve_forever
settings = ServeSettings(engine=EngineSettings(kind="TritonVLLM"))
sys.exit(serve_forever(sys.argv[1], work_dir=Path(sys.argv[2]), port=0, settings=settings))
"""


def group_in(folder: Path) -> list[int]:
    """Return Triton, its stub and vLLM's processes."""
    found = [pid for pid in processes_of(folder) if program_of(pid).endswith("/tritonserver")]
    return group_of(found[0]) if found else []


def program_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return ""


def until(condition: object, timeout_s: float) -> None:
    """Wait for something."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.1)


def is_answering(url: str) -> bool:
    """Ask: for a moment after a death the gateway still believes what it saw last."""
    try:
        return local.complete(url, prompt="x", max_tokens=2).completion_tokens == 2
    except TransientError:
        return False


def youngest(pids: list[int]) -> int:
    """Return the process that began last: vLLM's own."""
    return max(
        pids, key=lambda pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    )


def test_what_dies_or_hangs_is_replaced_and_a_killed_server_leaves_nothing(
    vllm_is_here: None, vllm_model_uri: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SCRIPT, vllm_model_uri, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.startswith("serving abababab")
            url = said.split(" at ")[1].split("/v1")[0]
            for number in (signal.SIGKILL, signal.SIGSTOP):
                assert is_answering(url)
                before = group_in(tmp_path)
                assert len(before) >= 3  # Triton, its stub, vLLM's own process
                began = time.monotonic()
                os.kill(youngest(before), number)
                until(lambda gone=before[:]: not set(gone) & set(group_in(tmp_path)), 60)
                noticed_s = time.monotonic() - began
                until(lambda: is_answering(url), 600)
                after_s = time.monotonic() - began
                print(
                    f"{number.name}: replaced after {noticed_s:.1f} s, answering again after {after_s:.0f} s"
                )
            last = group_in(tmp_path)
        finally:
            process.kill()
            process.wait(60)
    until(lambda: not [pid for pid in last if Path(f"/proc/{pid}/cmdline").exists()], 60)
