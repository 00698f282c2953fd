"""Where a run begins: at its newest checkpoint, or a longer one with a shorter one's state from before its decay.

Owns whether that state can be taken and what of it becomes this run's own. Which one it is, ``run_key`` says.
"""

from __future__ import annotations

import dataclasses
import logging

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError
from daybreak_train import places
from daybreak_train.checkpoints import sharded, snapshots
from daybreak_train.checkpoints.peers import PartHolders
from daybreak_train.guard import record
from daybreak_train.guard.policy import Past
from daybreak_train.loop.callbacks import HELD_OUT_AT
from daybreak_train.loop.run import Run
from daybreak_train.loop.train_state import LEFT_OUT, shared_by_leader, shared_past
from daybreak_train.model import Llama

log = logging.getLogger(__name__)


def state_before_decay(run: Run) -> tuple[Past, snapshots.Snapshot] | None:
    """Return a shorter run's state before its decay, as this run's own, with what the guard had decided until there."""
    trunk = run.key.trunk
    if trunk is None:
        return None
    checkpoints = storage.join(run.args.output, places.CHECKPOINTS)
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


def where_to_begin(
    run: Run, llama: Llama, peers: PartHolders | None
) -> tuple[Past, snapshots.Snapshot | None]:
    """Return what the guard decided so far and the newest checkpoint that agrees with it, the same on every rank.

    Of an unsharded run one process reads, of a sharded one each its part.
    """
    past, snapshot = Past(), None
    if run.placement.is_leader:
        past = record.load(run.checkpoints, run.digest)

    def agrees(found: snapshots.Snapshot) -> bool:
        return record.fits(past, found.step, found.state[LEFT_OUT])

    if peers is not None:
        totals = [weight.shape[0] for weight in llama.parameters()]
        snapshot = sharded.newest(run.checkpoints, run.digest, totals, peers, log.warning, accepts=agrees)
    elif run.placement.is_leader:
        snapshot = snapshots.newest(run.checkpoints, run.digest, log.warning, agrees)
    if run.placement.is_leader and snapshot is None and (found := state_before_decay(run)) is not None:
        past, snapshot = found
    if run.placement.is_leader and snapshot is not None:
        log.warning("resuming after step %d", snapshot.step)
    past = shared_past(past, run.placement)
    if snapshot is None or not snapshot.part.count > 1:
        snapshot = shared_by_leader(snapshot, run.placement)
    return past, snapshot
