"""A recorded step made again: training goes on from a kept checkpoint, in a folder of its own, up to that step.

Owns the scratch copy and the comparison with the ledger. The run itself is only read.
"""

from __future__ import annotations

import dataclasses
import io
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from daybreak_contracts.errors import UserError
from daybreak_contracts.planning.recipe import Budget
from daybreak_contracts.progress import Progress
from daybreak_train import places
from daybreak_train.checkpoints import snapshots
from daybreak_train.guard import record as guard_record
from daybreak_train.loop import ledger
from daybreak_train.loop.callbacks import Recorders
from daybreak_train.loop.composer_adapter import fit
from daybreak_train.loop.data_loading import prepare
from daybreak_train.loop.run import Run
from daybreak_train.loop.train_state import (
    Trained,
    TrainingOutcome,
    TrainState,
    random_state,
    random_state_of,
    restore,
)
from daybreak_train.loop.trainer import machine_of, new_trained, plan_of
from daybreak_train.model import Llama
from daybreak_train.recompute.locate import RecordedTraining
from daybreak_train.replay.batch import RecomputedStep

COMPARED = ("loss", "grad_norm", "batch_digest")


def recompute(
    training: RecordedTraining, run: Run, step: int, look: Callable[[Llama], None]
) -> RecomputedStep:
    """Train from the nearest kept checkpoint at or before the step's beginning, and compare with the ledger.

    ``look`` is called with the weights that the step begins with.
    """
    prepare(run.inputs.shards)
    torch.set_num_threads(training.record.machine_at(step).threads)
    with tempfile.TemporaryDirectory(prefix="daybreak-replay-") as scratch:
        args = run.args.model_copy(update={"output": scratch, "work_dir": f"{scratch}/work"})
        trial = _Trial(training, dataclasses.replace(run, args=args), Path(scratch), step)
        begun = trial.outcome.step
        trial.train_to(step - 1)
        look(trial.trained.model)
        trial.train_to(step)
        made = {int(entry["step"]): entry for entry in ledger.read(trial.ledger.contents())}
        trial.ledger.close()
    same = [
        number
        for number in range(begun + 1, step + 1)
        if all(_value(made, number, name) == training.entry(number)[name] for name in COMPARED)
    ]
    return RecomputedStep(
        from_step=begun,
        steps=step - begun,
        identical_steps=len(same),
        loss=_value(made, step, "loss"),
        grad_norm=_value(made, step, "grad_norm"),
        identical=step in same,
        differences=training.record.machine_at(step).differences(machine_of(run)),
    )


def _value(entries: Mapping[int, Mapping[str, Any]], step: int, name: str) -> Any:
    return entries.get(step, {}).get(name)


class _Trial:
    """A copy of the run, from the checkpoint nearest before a step."""

    def __init__(self, training: RecordedTraining, run: Run, scratch: Path, step: int) -> None:
        self._run = run
        self.trained: Trained = new_trained(run)
        snapshot = _newest_before(training, step)
        self.outcome = restore(snapshot, self.trained) if snapshot is not None else TrainingOutcome()
        self.outcome.computes_in = self.outcome.computes_in or training.record.computes_in
        # no look at held-out data, and never the end that a finished run's checkpoint has
        self.outcome.held_out_looks, self.outcome.stopped_by = 1 << 20, ""
        self.outcome.past = guard_record.load(training.checkpoints, training.record.digest)
        self._random_state = random_state_of(snapshot, 0) if snapshot is not None else None
        past = snapshot.ledger if snapshot is not None else b""
        self.ledger = ledger.Ledger(scratch / places.LEDGER, past)
        self._rates = {number: float(entry["lr"]) for number, entry in training.entries.items()}

    def train_to(self, step: int) -> None:
        """Go on until so many steps are done."""
        if self.outcome.step >= step:
            return
        plan = dataclasses.replace(
            plan_of(self._run), budget=Budget(steps=step, seconds=None), recorded_rates=self._rates
        )
        recorders = Recorders(self.ledger, None, None, Progress("replay", stream=io.StringIO()))
        fit(self._run, plan, TrainState(self.trained, self.outcome, self._random_state), recorders)
        self._random_state = random_state()


def _newest_before(training: RecordedTraining, step: int) -> snapshots.Snapshot | None:
    for done in training.kept:
        if done < step:
            try:
                return snapshots.read(snapshots.uri_of(training.checkpoints, done), training.record.digest)
            except UserError:
                continue  # torn: the one before
    return None
