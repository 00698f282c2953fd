"""The operator's real decisions, about thirty times as hasty: what takes minutes is played in seconds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from daybreak_contracts.list_watch import BackOff
from daybreak_operator.__main__ import DECISIONS as REAL
from daybreak_operator.core.capacity.placement.layout import Tuning
from daybreak_operator.core.capacity.placement.offerings import Patience
from daybreak_operator.shell.lease.leadership import LeaseTimes
from daybreak_operator.shell.reconcile.reconciler import Decisions
from daybreak_operator.shell.run import Timing

HASTY = Tuning(
    lead_s=2.0,
    fallback_s=2,
    release_s=6,
    pause_s=1,
    patience=Patience(
        backoff_s=6, backoff_max_s=12, reset_s=360, unplaced_s=60, placed_s=120, half_life_s=60.0
    ),
)
"""Only a launch that gets no answer keeps its time: a busy machine must not look like a stock-out."""
THRIFTY = replace(HASTY, short=5.0)
"""Buys no insurance: as many replicas are asked for as are missing, and one more is one too many."""


def decisions(*, thrifty: bool = False) -> Decisions:
    """Return the operator's decisions, with a deployment's as hasty as said above."""
    return replace(REAL, deployment=partial(REAL.deployment, tuning=THRIFTY if thrifty else HASTY))


TIMING = Timing(
    lease=LeaseTimes(duration_s=15.0, deadline_s=10.0, renew_s=3.0, retry_s=0.3, request_s=4.0),
    back_off=BackOff(0.1, 1.0),
)
