"""How a step tells how far it is: a line on stderr and, when asked, a small JSON file for its launcher.

A terminal sees a line that is rewritten; a pod's log gets one line a minute. A listener gets every report. The
share never goes back while a step runs: each part of a step has its own span of the whole (``part``), and what
is reported below the last share is told as the last share.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

POD_INTERVAL_S = 60.0
TERMINAL_INTERVAL_S = 0.2


class Progress:
    """Report ``done`` of ``total`` in a step's own unit; cheap enough to call for each record batch."""

    def __init__(
        self,
        step: str,
        *,
        stream: TextIO | None = None,
        file: Path | None = None,
        listener: Callable[[Mapping[str, Any]], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._step = step
        self._stream = stream if stream is not None else sys.stderr
        self._file = file
        self._listener = listener
        self._clock = clock
        self._started = clock()
        self._last_line = float("-inf")
        self._last_file = float("-inf")
        self._share = 0.0
        self._terminal = self._stream.isatty()

    def report(self, activity: str, done: float = 0, total: float = 0) -> None:
        """Tell what goes on and how much of it is done; ``total`` 0 means nobody knows: the last share stays."""
        now = self._clock()
        done, total = self._never_back(done, total)
        complete = total > 0 and done >= total
        if self._listener is not None:
            self._listener({"step": self._step, "activity": activity, "done": done, "total": total})
        if self._file is not None and (complete or now - self._last_file >= TERMINAL_INTERVAL_S):
            self._last_file = now
            self._write_file(activity, done, total, now)
        interval = TERMINAL_INTERVAL_S if self._terminal else POD_INTERVAL_S
        if self._file is None and (complete or now - self._last_line >= interval):
            self._last_line = now
            self._write_line(activity, done, total, now)

    def part(self, first: float, last: float) -> Progress:
        """Return a reporter for a part of this one's work: its nothing is the share ``first``, its all ``last``."""
        return _Part(self, first, last)

    def _never_back(self, done: float, total: float) -> tuple[float, float]:
        done = min(max(done, 0), total)
        if total > 0 and done / total >= self._share:
            self._share = done / total
            return done, total
        return (self._share, 1) if self._share else (0, max(total, 0))

    def _write_line(self, activity: str, done: float, total: float, now: float) -> None:
        share = f"{100 * done / total:3.0f} %" if total else ""
        line = f"{self._step}: {activity} {share} ({now - self._started:.0f} s)"
        self._stream.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        self._stream.flush()

    def _write_file(self, activity: str, done: float, total: float, now: float) -> None:
        assert self._file is not None
        state = {"step": self._step, "activity": activity, "done": done, "total": total}
        temporary = self._file.with_name(self._file.name + ".tmp")
        temporary.write_text(json.dumps({**state, "seconds": round(now - self._started, 1)}))
        temporary.replace(self._file)


class _Part(Progress):
    """Reports to another reporter, inside a span of its shares."""

    def __init__(self, whole: Progress, first: float, last: float) -> None:
        self._whole = whole
        self._first = first
        self._span = last - first

    def report(self, activity: str, done: float = 0, total: float = 0) -> None:
        share = min(1.0, max(0.0, done / total)) if total > 0 else 0.0
        self._whole.report(activity, self._first + self._span * share, 1)
