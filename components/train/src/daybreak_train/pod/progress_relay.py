"""Passes a trainer's progress on: a line a minute to the pod's log, and what is new to the operator.

Owns the looking. What did not change is not passed on: it would look like life.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from daybreak_contracts.result_reporter import ProgressPoster

LOOK_S = 1.0
LINE_INTERVAL_S = 60.0


class Relay:
    """Looks at a progress file while the body runs."""

    def __init__(
        self,
        file: Path,
        stream: TextIO,
        poster: ProgressPoster | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = file
        self._stream = stream
        self._poster = poster
        self._clock = clock
        self._last = ""
        self._told = float("-inf")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress-relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.look()
        if self._poster is not None:
            self._poster.close()

    def look(self) -> None:
        """Take in what the file says now."""
        try:
            text = self._file.read_text()
            state: Mapping[str, Any] = json.loads(text)
        except (OSError, ValueError):
            return
        if text == self._last:
            return
        self._last = text
        if self._poster is not None:
            self._poster({name: state[name] for name in ("step", "activity", "done", "total")})
        now = self._clock()
        if now - self._told >= LINE_INTERVAL_S:
            self._told = now
            share = f" {100 * state['done'] / state['total']:.0f} %" if state["total"] else ""
            self._stream.write(f"{state['step']}: {state['activity']}{share}\n")
            self._stream.flush()

    def _run(self) -> None:
        while not self._over.wait(LOOK_S):
            self.look()
