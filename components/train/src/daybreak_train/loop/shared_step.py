"""What all ranks know of a step before its update: loss and gradient norm, and what one of them wants of all.

Owns the sums over micro-batches and the one small collective. Owns no decision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch import distributed as dist

from daybreak_train.guard.detector import Reading
from daybreak_train.loop.train_state import collective_device
from daybreak_train.pod.environment import ProcessPlacement


class StepSums:
    """Loss and trained tokens of this rank's micro-batches of one step."""

    def __init__(self) -> None:
        self._loss: Tensor | None = None
        self._tokens: Tensor | None = None

    def add(self, loss_sum: Tensor, tokens: Tensor) -> None:
        """Take one micro-batch in; nothing waits for the device."""
        loss, count = loss_sum.detach().double(), tokens.detach().double()
        self._loss = loss if self._loss is None else self._loss + loss
        self._tokens = count if self._tokens is None else self._tokens + count

    def take(self, grad_norm: Tensor) -> Tensor:
        """Return loss, tokens and the gradient's norm as one tensor, still on the device, and start anew."""
        assert self._loss is not None
        assert self._tokens is not None
        taken = torch.stack((self._loss, self._tokens, grad_norm.detach().double()))
        self._loss = self._tokens = None
        return taken


@dataclass(frozen=True)
class SharedStep:
    """What one rank knows that all must act on."""

    seconds: float
    signal: int
    checkpoint: bool
    loss_sum: float = 0.0
    tokens: float = 0.0
    grad_norm: float = 0.0

    @property
    def reading(self) -> Reading:
        """Mean loss and gradient norm."""
        return Reading(self.loss_sum / max(1.0, self.tokens), self.grad_norm)


def reduced(mine: SharedStep, measured: Tensor, placement: ProcessPlacement) -> SharedStep:
    """Return the sum over all ranks of loss and tokens, the maximum of the others.

    ``measured`` is ``StepSums.take``'s. One small collective a step, and the one moment at which a step waits for the
    device: the update hangs on it. Every rank adds up the same values in the same order, so all know the same loss; one
    rank's NaN is everyone's.
    """
    device = collective_device(placement)
    asked = torch.tensor(
        [mine.seconds, mine.signal, mine.checkpoint], dtype=torch.float64, device=measured.device
    )
    values = torch.cat((asked, measured)).to(device)
    gathered = [values]
    if placement.world_size > 1:
        gathered = [torch.empty_like(values) for _ in range(placement.world_size)]
        dist.all_gather(gathered, values)
    seconds, signals, checkpoints, losses, tokens, norms = torch.stack(gathered).cpu().numpy().T
    return SharedStep(
        seconds=float(seconds.max()),
        signal=int(signals.max()),
        checkpoint=bool(checkpoints.max()),
        loss_sum=float(losses.sum()),
        tokens=float(tokens.sum()),
        grad_norm=float(norms.max()) if np.isfinite(norms).all() else float("nan"),
    )
