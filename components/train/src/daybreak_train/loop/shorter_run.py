"""Where a longer run begins: with a shorter one's state from before its decay.

Owns whether that state can be taken and what of it becomes this run's own. Which one it is, ``run_key`` says.
"""

from __future__ import annotations

import dataclasses
import logging

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError
from daybreak_train.checkpoints import snapshots
from daybreak_train.guard import record
from daybreak_train.guard.policy import Past
from daybreak_train.loop.callbacks import HELD_OUT_AT
from daybreak_train.loop.run import Run
from daybreak_train.loop.train_state import LEFT_OUT
from daybreak_train.run_key import CHECKPOINTS

log = logging.getLogger(__name__)


def state_before_decay(run: Run) -> tuple[Past, snapshots.Snapshot] | None:
    """Return a shorter run's state before its decay, as this run's own, with what the guard had decided until there."""
    trunk = run.key.trunk
    if trunk is None:
        return None
    checkpoints = storage.join(run.args.output, CHECKPOINTS)
    try:
        past = record.load(storage.join(checkpoints, trunk.folder), trunk.run)
        snapshot = snapshots.read(storage.join(checkpoints, trunk.name), trunk.run)
    except UserError as error:
        log.warning("checkpoint of a shorter run passed over: %s", error)
        return None
    if not record.fits(past, snapshot.step, snapshot.state[LEFT_OUT]):
        log.warning("checkpoint of a shorter run passed over: its guard has left out some of it since")
        return None
    log.warning("going on from the shorter run %s, before its decay", trunk.name)
    done = run.key.budget.progress(trunk.step, trunk.elapsed_seconds)
    state = {
        **snapshot.state,
        "continuedFrom": trunk.name,
        "stoppedBy": "",
        "heldOutLooks": sum(done >= share for share in HELD_OUT_AT),
    }
    past = Past(tuple(event for event in past.events if event.step <= snapshot.step))
    record.save(run.checkpoints, run.digest, past)
    return past, dataclasses.replace(snapshot, state=state)
