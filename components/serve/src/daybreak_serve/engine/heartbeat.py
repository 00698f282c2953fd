"""Whether an engine that says nothing is at work or hangs: a number in a file that its thread renews.

The engine writes the monotonic clock, which all processes of a machine share; who watches compares it with its own.
A process that is stopped, swapped out or waits for a lock writes nothing. Owns no process.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

BEAT_S = 0.5
"""At most so often: a write costs some microseconds, a token hundreds."""
IDLE_BEAT_S = 1.0
"""An engine without work wakes so often to say that it lives."""
HUNG_S = 9.0
"""Silence after which a process counts as hung. One piece of a prompt (256 tokens) takes the models that a processor
serves well under a second; a busy machine takes some times that."""
_NUMBER = struct.Struct("<d")


class Heartbeat:
    """The writing side."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._next_s = 0.0

    def __call__(self) -> None:
        """Say that the thread which calls is at work."""
        now = self._clock()
        if now >= self._next_s:
            self._next_s = now + BEAT_S
            os.pwrite(self._descriptor, _NUMBER.pack(now), 0)


def heartbeat_file(repository: Path) -> Path:
    """Return where the engine of a repository says that it is at work: beside it, not in it."""
    return repository.absolute().with_name(f"{repository.name}.heartbeat")


def beaten_at(path: Path) -> float | None:
    """Return the clock's reading at the last beat; None where nobody ever wrote one."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return float(_NUMBER.unpack(data)[0]) if len(data) == _NUMBER.size else None


def why_hung(now: float, answered_s: float, beat_s: float | None, limit_s: float = HUNG_S) -> str | None:
    """Return why an engine counts as hung, None if it does not.

    ``answered_s`` is when its server last answered, ``beat_s`` when its engine last worked; None: it never said.
    """
    if now - answered_s > limit_s:
        return f"the server has answered nothing for {now - answered_s:.0f} s"
    if beat_s is not None and now - beat_s > limit_s:
        return f"the engine has done nothing for {now - beat_s:.0f} s"
    return None
