"""What a killed process had spawned ends with it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = """
import multiprocessing, sys, time
from pathlib import Path
from daybreak_serve.engine.vllm.processes import tie_children

if __name__ == "__main__":
    tie_children(Path(sys.argv[1]) / "with a blank")
    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    child.start()
    print(child.pid, flush=True)
    child.join()
"""


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def child_of_a_killed_process(folder: Path) -> int:
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert lives(child)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    return child


def test_a_program_that_begins_after_the_death_ends_at_once(tmp_path: Path) -> None:
    """It asked who its parent was, heard the id of the one that had taken it over, and lived for ever."""
    tie = (
        "import sys; from pathlib import Path; from daybreak_serve.engine.vllm.processes import tie_children"
    )
    subprocess.run([sys.executable, "-c", f"{tie}; tie_children(Path(sys.argv[1]))", tmp_path], check=True)
    command = [tmp_path / "python", "-c", "print('lives')"]
    late = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    assert (late.returncode, late.stdout) == (1, "")


def test_a_spawned_process_ends_with_whoever_was_killed(tmp_path: Path) -> None:
    child = child_of_a_killed_process(tmp_path)
    deadline = time.monotonic() + 20
    while lives(child):
        assert time.monotonic() < deadline, "it outlived its parent"
        time.sleep(0.05)
