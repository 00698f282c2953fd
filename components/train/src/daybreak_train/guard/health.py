"""What the guard found, as the operator is told it."""

from __future__ import annotations

from daybreak_contracts.metrics_snapshot import TrainerHealth
from daybreak_train.guard.events import GuardEvent
from daybreak_train.guard.policy import Past


def health_of(past: Past, step: int, window: int, stopped: GuardEvent | None) -> TrainerHealth:
    """Return the health after a step; ``stopped`` is what ends the training, if anything does."""
    told = stopped or past.latest(step)
    troubled = stopped is not None or past.trouble_began(step, window) is not None
    return TrainerHealth(
        reason=told.reason if told is not None and troubled else "",
        message=told.sentence if told is not None else "",
        spikes=past.spikes,
        steps_left_out=len(past.left_out),
        rewinds=past.rewinds,
    )
