"""A spare process: it has loaded its libraries, holds no model and no port, and waits at a pipe until it is wanted.

Of an engine's start nearly all is importing torch, of a gateway's its libraries: a spare has done it before the one
that serves dies. Owns the pipe between it and its starter, and when a spare is worth its memory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "DAYBREAK_STANDBY"
"""Names the pipe to a spare."""
MIN_FREE_BYTES = 4 << 30
"""Both spares take half a GB (docs/benchmarks.md); a machine that is short of memory has better use for it."""


class StandbyGate:
    """The starter's side of the pipe."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        self._path = path
        # open for both, so that neither side waits for the other, and what is written stays until it is read
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)

    def open(self) -> None:
        """Let the spare go on, be it at the gate already or not."""
        os.write(self._descriptor, b"\n")

    def close(self) -> None:
        """Remove the pipe; who still waits at it ends."""
        os.close(self._descriptor)
        self._path.unlink(missing_ok=True)


def wait_until_wanted(environment: Mapping[str, str]) -> None:
    """Return when this process is wanted, at once if it is no spare; end it when its starter is gone."""
    path = environment.get(VARIABLE)
    if not path:
        return
    with Path(path).open("rb", buffering=0) as gate:
        if not gate.read(1):
            raise SystemExit("the starter is gone")


def has_room(meminfo: str) -> bool:
    """Tell by the text of ``/proc/meminfo`` whether a spare may take memory; a machine that does not say has none.

    >>> has_room("MemTotal: 9 kB\\nMemAvailable:  8000000 kB\\n"), has_room("")
    (True, False)
    """
    for line in meminfo.splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024 >= MIN_FREE_BYTES
    return False
