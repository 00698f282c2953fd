"""Child processes of a run: started so that they can all be found again, stopped so that none is left.

Every child carries the launcher's identity in its environment, and so does whatever it starts (Spark's JVM,
torchrun's workers), in whichever process group or session they put themselves.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from daybreak_contracts import launch

GRACE_S = 15.0
"""How long a stopped step may take to save what it has."""


def environment_for(
    base: Mapping[str, str], *, launcher_pid: int, results: Path, progress: Path
) -> dict[str, str]:
    """Return the environment of a child: the caller's, plus where its launcher looks."""
    identity = launch.identity_of(launcher_pid)
    if identity is None:
        raise ProcessLookupError(launcher_pid)
    return {
        **base,
        launch.LAUNCHER: identity,
        launch.RESULTS_FOLDER: str(results),
        launch.PROGRESS_FILE: str(progress),
    }


def start(
    command: Sequence[str], environment: Mapping[str, str], log: Path | None
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own (a terminal's Ctrl-C reaches us alone), its output to a log file.

    Without one (in a pod, whose log is the cluster's to keep) the output goes where ours goes.
    """
    if log is None:
        return subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, start_new_session=True
        )
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def members(identity: str) -> list[int]:
    """Return the pids of all live processes that carry this launcher's identity."""
    marker = f"{launch.LAUNCHER}={identity}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue  # gone, or another user's
        if marker in environment.split(b"\0"):
            found.append(int(entry.name))
    return found


def memory_bytes(identity: str) -> int:
    """Return the memory of all members now: the sum of their proportional set sizes (shared pages count once)."""
    total = 0
    for pid in members(identity):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue  # gone since the look, or another user's
        for line in rollup.splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def stop(child: subprocess.Popen[bytes], identity: str, grace_s: float = GRACE_S) -> None:
    """Stop a child and everything it started: ask its group, wait, then kill every member."""
    if child.poll() is None:
        _signal_group(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace_s)
    _signal_group(child.pid, signal.SIGKILL)
    sweep(identity)
    child.wait()


def sweep(identity: str) -> None:
    """Kill what a child left behind, until a look finds nothing (bounded to five seconds)."""
    deadline = time.monotonic() + 5
    while (left := members(identity)) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
