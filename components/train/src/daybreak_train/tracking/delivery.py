"""What a tracker is to be told, kept as long as it is away: a server that restarts costs a training no point.

Owns order, waiting times and what is lost; knows no tracking library. The clock is an argument.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
FIRST_WAIT_S, LONGEST_WAIT_S = 15.0, 300.0
"""Between two tries to reach a tracker that is away."""
MOST_KEPT = 20_000
"""Entries: of one point in ten seconds two days; a few hundred bytes each. Beyond, the oldest are given up."""
_PASSING = {401, 403, 408, 425, 429}
"""Refusals that end by themselves, or when somebody mends a credential; any other 4xx is of the entry itself."""
Sink = TypeVar("Sink")


class Delivery(Generic[Sink]):
    """Brings entries to one tracker, in order."""

    def __init__(self, name: str, open_sink: Callable[[], Sink], clock: Callable[[], float]) -> None:
        self.name = name
        self._open = open_sink
        self._clock = clock
        self._sink: Sink | None = None
        self._kept: deque[Callable[[Sink], None]] = deque()
        self._given_up = 0
        self._refused = 0
        self._away = False
        self._wait_s = FIRST_WAIT_S
        self._again_at = 0.0

    @property
    def unrecorded(self) -> int:
        """Entries that the tracker does not have."""
        return len(self._kept) + self._given_up + self._refused

    def take(self, entry: Callable[[Sink], None]) -> None:
        """Keep an entry and bring what is kept, if the tracker may be there."""
        self._kept.append(entry)
        if len(self._kept) > MOST_KEPT:
            self._kept.popleft()
            self._given_up += 1
        self.flush()

    def flush(self, *, at_once: bool = False) -> None:
        """Bring what is kept; while the tracker is away only when the next try is due, or ``at_once``."""
        if self._away and not at_once and self._clock() < self._again_at:
            return
        try:
            if self._sink is None:
                self._sink = self._open()
            while self._kept:
                self._tell(self._sink, self._kept[0])
                self._kept.popleft()
        except Exception as error:  # noqa: BLE001 - what tracking libraries raise has no common class
            self._missed(error)
        else:
            if self._away:
                log.info("%s: is there again, has all that was kept for it", self.name)
            self._away, self._wait_s = False, FIRST_WAIT_S

    def end(self, close: Callable[[Sink], None]) -> None:
        """Try once more, and end the run there."""
        self.flush(at_once=True)
        if self._sink is None:
            return
        try:
            close(self._sink)
        except Exception as error:  # noqa: BLE001 - as above
            self._missed(error)

    def _tell(self, sink: Sink, entry: Callable[[Sink], None]) -> None:
        """Tell one entry; a refusal of it is counted, any other trouble is the caller's."""
        try:
            entry(sink)
        except Exception as error:
            if not is_refused(error):
                raise
            self._refuse(error)

    def _missed(self, error: Exception) -> None:
        if not self._away:
            log.warning(
                "%s: training goes on without it, and keeps what it is to be told (%s: %s)",
                self.name,
                type(error).__name__,
                error,
            )
        self._away = True
        self._again_at = self._clock() + self._wait_s
        self._wait_s = min(LONGEST_WAIT_S, 2 * self._wait_s)

    def _refuse(self, error: Exception) -> None:
        if not self._refused:
            log.warning("%s: refuses an entry (%s: %s)", self.name, type(error).__name__, error)
        self._refused += 1


def is_refused(error: Exception) -> bool:
    """Tell whether a tracker will never take this entry; MLflow's errors know their HTTP status."""
    status = getattr(error, "get_http_status_code", lambda: 0)()
    return 400 <= status < 500 and status not in _PASSING
