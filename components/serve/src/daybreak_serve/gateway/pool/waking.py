"""Waiting for the first engine of a model that sleeps: how long, and what those are told who cannot wait for it.

A start takes minutes and most clients less: who is turned away is told when to come again by what a start is known to
take. Owns no queue (`endpoint_pool`) and no engine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from daybreak_contracts import routing
from daybreak_serve.gateway.http.problems import ApiProblem, waking

UNKNOWN_S = 30
"""When to come again where no start was seen yet: often enough to find it awake, too seldom to be a load."""
OVERDUE_S = 15
"""The same where a start takes longer than the last one did."""
FORGOTTEN_S = routing.START_GOES_ON_S
"""A start that nobody has waited for this long is over, whatever came of it: the next request begins another one."""


@dataclass
class WakeHold:
    """How long one request may wait for an engine to come up. Times are the event loop's."""

    until_s: float
    cold_start_s: int = 0
    """What the operator last saw a start take; 0: it saw none."""
    was_needed: bool = False
    """Whether it waited: its time says nothing of a busy engine then."""


@dataclass
class ColdStart:
    """What a gateway itself knows of the start that it waits for, and of the last one."""

    _began_s: float | None = None
    _asked_s: float = 0.0
    _took_s: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether requests waited for an engine since one could last be asked."""
        return self._began_s is not None

    def ask(self, now_s: float) -> None:
        """A request waits for the engine."""
        if self._began_s is None or now_s - self._asked_s > FORGOTTEN_S:
            self._began_s = now_s
        self._asked_s = now_s

    def end(self, now_s: float) -> None:
        """An engine can be asked."""
        if self._began_s is not None:
            self._took_s, self._began_s = now_s - self._began_s, None

    def problem(self, now_s: float, hold: WakeHold, why: str) -> ApiProblem:
        """Return the answer to a request that cannot wait for the engine."""
        known_s = self._took_s or float(hold.cold_start_s)
        gone_s = now_s - (self._began_s if self._began_s is not None else now_s)
        left_s = math.ceil(known_s - gone_s)
        if not known_s:
            said, again_s = "how long it takes is not known yet", UNKNOWN_S
        elif left_s <= 0:
            said, again_s = f"it takes longer than the last start, {known_s:.0f} s", OVERDUE_S
        else:
            said, again_s = f"the last start took {known_s:.0f} s", left_s
        return waking(f"{why}: the model is being started, {said}; ask again in {again_s} s", again_s)
