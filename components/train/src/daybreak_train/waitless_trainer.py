"""Composer's Trainer without its waits: a step asks the device for nothing until its update is to be decided.

Owns the few methods of Composer that read a value from the device: eight times a step, and each waits for everything
that was launched before. Owns no decision; how micro-batches are weighed is Composer's.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from daybreak_train.lean_imports import import_composer
from daybreak_train.objectives.protocol import IGNORED

composer = import_composer()
Event = composer.Event
NUM_TRAINED = "num_trained"


def trained_tokens(batch: Mapping[str, Any]) -> int:
    """Return the tokens of a batch that are trained on: as it is known, or counted while it is in main memory."""
    known = batch.get(NUM_TRAINED)
    return int(np.count_nonzero(batch["labels"].numpy() != IGNORED)) if known is None else int(known)


class WaitlessTrainer(composer.Trainer):  # type: ignore[name-defined]
    """Trains on an endless loader that all ranks leave at once, and reports no loss: the callback has its own."""

    def _iter_dataloader(self, trainer_mode: Any) -> Iterator[Any]:
        """Yield batches. Composer asks all ranks before each whether one has run out; ours can't."""
        batches = iter(self.state.dataloader)
        while True:
            self.engine.run_event(Event.BEFORE_DATALOADER)
            yield next(batches)

    def _use_closures(self) -> bool:
        """Make the update after the gradients and not by a closure, whose loss Composer reads."""
        return False

    def _train_batch(self, use_grad_scaling: bool) -> dict[str, Tensor]:
        """Train on one batch and report no losses: Composer would read and log them."""
        super()._train_batch(use_grad_scaling)
        return {}

    def _train_microbatches(
        self,
        microbatches: Sequence[Mapping[str, Any]],
        total_loss_dict: dict[str, Tensor],
        ddp_sync: bool = True,
    ) -> Tensor:
        """Make the gradient of the mean over the trained tokens of all ranks; Composer reads their number."""
        self.engine.run_event(Event.BEFORE_TRAIN_BATCH)
        for optimizer in self.state.optimizers:
            optimizer.zero_grad(set_to_none=True)
        counts = [trained_tokens(part) for part in microbatches]
        average = self.state.device.tensor_to_device(torch.tensor(sum(counts), dtype=torch.float64))
        composer.utils.dist.all_reduce(average, reduce_operation="SUM")
        average /= composer.utils.dist.get_world_size()
        whole = self.state.batch
        for number, (part, count) in enumerate(zip(microbatches, counts, strict=True), 1):
            self.state.batch = self.state.device.batch_to_device({**part, NUM_TRAINED: count})
            self._train_microbatch(False, average, number == len(microbatches))
        self.state.batch = whole
        self.engine.run_event(Event.AFTER_TRAIN_BATCH)
        return total_loss_dict["loss/train/total"]

    def _accumulate_time_across_ranks(
        self, num_samples: int, num_tokens: int, batch_time: datetime.timedelta
    ) -> tuple[int, int, datetime.timedelta]:
        """Return this rank's own: a run is counted in steps."""
        return num_samples, num_tokens, batch_time
