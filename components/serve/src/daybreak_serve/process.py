"""A child process that leaves nothing behind: its own group, a log file, tied to our life, stopped in order.

Owns no knowledge of what the child is.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from daybreak_contracts.launch import identity_of

PARENT_DEATH = Path(__file__).with_name("parent_death.py")
LOG_TAIL_BYTES = 65_536


def first_end(pids: Sequence[int], timeout_s: float) -> bool:
    """Wait until one of these processes has ended, for so long at most; tell whether one has. They need not be ours."""
    poller, descriptors = select.poll(), []
    try:
        for pid in pids:
            try:
                descriptors.append(os.pidfd_open(pid))
            except ProcessLookupError:
                return True
            poller.register(descriptors[-1], select.POLLIN)
        return bool(poller.poll(1000 * timeout_s))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


class Child:
    """One run of a program."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], log: Path, pass_fds: Sequence[int] = ()
    ) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        wrapper = [sys.executable, "-I", "-S", str(PARENT_DEATH), str(os.getpid())]
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                [*wrapper, *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=tuple(pass_fds),
            )

    @property
    def pid(self) -> int:
        """Process id; also the id of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._process.poll()

    def log_tail(self) -> str:
        """Return the last lines that this run wrote to its log."""
        with self.log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, end - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; tell whether it came."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def companions(self) -> list[str]:
        """Return the other live processes of its group, each as `launch.identity_of` gives it."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == self.pid:
                continue
            with contextlib.suppress(OSError):
                if os.getpgid(int(entry.name)) == self.pid:
                    found.append(identity_of(int(entry.name)))
        return [identity for identity in found if identity is not None]

    def dead_children(self) -> frozenset[int]:
        """Return the processes that it started itself, that ended, and of whose end it has taken no note."""
        found = set()
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                state, parent = stat.read_text().rpartition(")")[2].split()[:2]
                if state == "Z" and int(parent) == self.pid:
                    found.add(int(stat.parent.name))
        return frozenset(found)

    def kill(self) -> None:
        """End it and every process of its group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, grace_s: float) -> None:
        """Ask it to end, wait, then make it and what is left of its group end."""
        if self.exit_code is None:
            self._process.terminate()
            self.wait(grace_s)
        self.kill()
