"""Watches the two processes of a served model, starts again what died or hangs, and keeps a spare of each.

A first death is answered at once, as is a second; what dies again and again must not take the machine.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daybreak_serve.engine.triton import TritonServer
from daybreak_serve.local.gateway_process import LocalGateway
from daybreak_serve.process import first_end
from daybreak_serve.standby import has_room

WATCH_S = 0.2
SETTLE_S = 0.02
"""After an end that was told: what else dies with it is dead by then."""
STEADY_S = 30.0
"""A life of this length was no crash at the start."""
PAUSES_S = (0.0, 0.0, 1.0, 2.0)
"""Before a start, by how many lives in a row were shorter than that; the last one goes on."""
SPARE_AFTER_S, SPARE_AGAIN_S = 10.0, 60.0
"""A spare takes seconds of a processor: not beside the first requests, and not without end where none stays alive."""
MEMINFO = Path("/proc/meminfo")


@dataclass
class _Life:
    """Of one of the two since its last start."""

    began_s: float
    spare_due_s: float
    num_short: int = 0
    """Lives in a row, this one left out, that were short."""


def pause_before(num_short: int) -> float:
    """Return how long to wait before a start.

    >>> [pause_before(number) for number in range(6)]
    [0.0, 0.0, 0.0, 1.0, 2.0, 2.0]
    """
    return PAUSES_S[min(max(num_short - 1, 0), len(PAUSES_S) - 1)]


class ProcessMonitor:
    """Starts what died or hangs again.

    The thread that starts a child must outlive it (see parent_death.py), so it ends last.
    """

    def __init__(
        self, triton: TritonServer, gateway: LocalGateway, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._triton = triton
        self._gateway = gateway
        self._clock = clock
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="serve-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching and end both processes."""
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        parts, now = (self._triton, self._gateway), self._clock()
        lives = {part: _Life(now, now + SPARE_AFTER_S) for part in parts}
        while not self._ending.is_set():
            if first_end([pid for part in parts for pid in part.pids], WATCH_S):
                self._ending.wait(SETTLE_S)
            for part, life in lives.items():
                self._look(part, life)
        self._gateway.shut()
        self._gateway.stop()
        self._triton.stop()

    def _look(self, part: TritonServer | LocalGateway, life: _Life) -> None:
        now = self._clock()
        reason = "a process of it died" if part.is_broken() else part.why_hung(now)
        if reason is not None:
            self._start_again(part, life, reason)
        elif now >= life.spare_due_s and part.wants_spare and has_room(_meminfo()):
            life.spare_due_s = now + SPARE_AGAIN_S
            part.prepare_spare()

    def _start_again(self, part: TritonServer | LocalGateway, life: _Life, reason: str) -> None:
        life.num_short = life.num_short + 1 if self._clock() - life.began_s < STEADY_S else 0
        if self._ending.wait(pause_before(life.num_short)):
            return
        print(f"serve: {part.name} is started again: {reason}", file=sys.stderr, flush=True)
        part.kill()  # what is left of it: stubs, shared memory
        part.start()
        life.began_s = self._clock()
        life.spare_due_s = life.began_s + SPARE_AFTER_S


def _meminfo() -> str:
    try:
        return MEMINFO.read_text()
    except OSError:
        return ""
