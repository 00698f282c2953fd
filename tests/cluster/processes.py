"""Processes of a cluster on this machine: children that die with us, a folder swept behind us.

Owns no knowledge of Kubernetes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from daybreak_serve.process import Child

SWEEPER = Path(__file__).with_name("sweeper.py")
POLL_S = 0.05


class StartError(Exception):
    """A program ended or did not answer in time; the text ends with the last lines of its log."""


class Household:
    """The children of one cluster. All are started by one thread that lives as long as the household does.

    Linux ties a child's life to the thread that started it (prctl(2), PR_SET_PDEATHSIG).
    """

    def __init__(self, data: Path) -> None:
        self.data = data
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="cluster-starter")
        self._children: dict[str, Child] = {}
        # A process of its own session: it must outlive us to remove what a kill leaves behind.
        self._sweeper = self._starter.submit(
            subprocess.Popen,
            [sys.executable, "-I", "-S", str(SWEEPER), str(os.getpid()), str(data)],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        ).result()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Child:
        """Start a program under a name; its log is ``logs/<name>.log``."""
        log = self.data / "logs" / f"{name}.log"
        child = self._starter.submit(Child, command, environment or os.environ, log).result()
        self._children[name] = child
        return child

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: child.pid for name, child in self._children.items()}

    def wait_until(self, name: str, ready: Callable[[], bool], within_s: float) -> None:
        """Wait until a child is ready; StartError when it ended or takes longer."""
        child = self._children[name]
        deadline = time.monotonic() + within_s
        while not ready():
            if child.exit_code is not None:
                raise StartError(f"{name} ended with {child.exit_code}:\n{child.log_tail()[-3000:]}")
            if time.monotonic() > deadline:
                raise StartError(f"{name} was not ready in {within_s:.0f} s:\n{child.log_tail()[-3000:]}")
            time.sleep(POLL_S)

    def stop(self, name: str, grace_s: float) -> None:
        """Ask one child to end, make it end after the grace, and wait for its end."""
        self._children.pop(name).stop(grace_s)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Hold a child still: its connections stay open, and nothing answers."""
        pid = self._children[name].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def close(self, sweep: bool = True) -> None:
        """Kill all, and remove the folder unless somebody else does; nobody needs what an orderly end would write."""
        for child in self._children.values():
            child.kill()
        self._sweeper.kill()
        self._sweeper.wait()
        self._starter.shutdown()
        if sweep:
            shutil.rmtree(self.data)
