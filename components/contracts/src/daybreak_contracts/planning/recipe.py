"""How long, how fast, in which steps: every decision of a training run that is arithmetic.

Owns budget, shares of a batch, checkpoint interval and MFU as pure functions. Owns no clock, no learning rate
(``schedule``) and no peak of a GPU (``gpus``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from daybreak_contracts.errors import UserError
from daybreak_contracts.planning.memory import activation_bytes
from daybreak_contracts.planning.sizes import Dimensions
from daybreak_contracts.resources.training import Training

TOKENS_PER_PARAMETER = 20
"""Hoffmann et al. 2022 (arXiv 2203.15556), when the manifest gives no length."""

CLUSTER_MTTF_GPU_HOURS = 50_700.0
"""One unexpected interruption per 50.7 thousand GPU-hours (Llama 3, arXiv 2407.21783, table 5)."""
CPU_MTTF_HOURS = 6.0
"""A laptop is closed, a terminal too: as often as a spot machine is taken away."""
BF16_FROM_PARAMETERS = 500_000
BF16_LEAST_GAIN = 1.3
MIN_CHECKPOINT_S = 30.0
MAX_CHECKPOINT_S = 3600.0


@dataclass(frozen=True)
class Budget:
    """When training ends: after ``steps``, after ``seconds`` of training, or at whichever comes first."""

    steps: int | None
    seconds: float | None

    def progress(self, step: int, elapsed_s: float) -> float:
        """Return how much of the run is done before step ``step`` (from 0), 0 to 1 and beyond."""
        shares = [0.0]
        if self.steps is not None:
            shares.append(step / self.steps)
        if self.seconds is not None:
            shares.append(elapsed_s / self.seconds)
        return max(shares)

    def stopped_by(self, step: int) -> str:
        """Return which of the two limits ended the run."""
        return "Tokens" if self.steps is not None and step >= self.steps else "Time"


def budget_of(training: Training, max_seconds: float | None, parameters: int, tokens_a_step: int) -> Budget:
    """Return the budget: the manifest's length, cut by ``max_seconds`` if that is given.

    ``deadlineSeconds`` is a length of its own: as many tokens as fit.
    """
    limits = [float(limit) for limit in (max_seconds, training.deadline_seconds) if limit is not None]
    seconds = min(limits) if limits else None
    if training.deadline_seconds is not None:
        return Budget(steps=None, seconds=seconds)
    return Budget(
        steps=max(1, math.ceil(asked_tokens(training, parameters) / tokens_a_step)), seconds=seconds
    )


def asked_tokens(training: Training, parameters: int) -> int:
    """Return the tokens that a manifest asks for, which says no deadline."""
    if training.tokens is not None:
        return training.tokens
    return (training.tokens_per_parameter or TOKENS_PER_PARAMETER) * parameters


def device_batch(samples: int, world_size: int) -> int:
    """Return the samples of one step in one process: the largest share, for a step can be shared unevenly.

    More processes than samples is a UserError: some would have nothing to do.
    """
    if world_size > samples:
        raise UserError(
            f"{world_size} processes for a global batch of {samples} samples: use {samples} processes at most, "
            "a larger model or a shorter context"
        )
    return -(-samples // world_size)


def micro_batch(
    samples: int, dims: Dimensions, context_length: int, memory_bytes: int, *, recomputed: bool = False
) -> int:
    """Return how many of a process's samples go through the model at once.

    Equal parts if one at least half as large as what fits divides the share, so that no shape is compiled twice.
    """
    fits = min(samples, max(1, memory_bytes // activation_bytes(dims, context_length, recomputed)))
    largest = next(size for size in range(fits, 0, -1) if samples % size == 0)
    return largest if 2 * largest >= fits else -(-samples // -(-samples // fits))


def processes_ahead(num_gpus: int, cores: int) -> int:
    """Return how many processes beside each training process make batches ahead of the step.

    One makes more tokens than an H100 trains a 125m on (docs/benchmarks.md); four leave room for longer rearrangements.
    None on a CPU: there they would take from the step what they save it.
    """
    return 0 if num_gpus == 0 else max(1, min(4, cores - 1))


def bf16_may_pay(cpu_info: str, parameters: int) -> bool:
    """Tell whether a CPU's products in bf16 are worth measuring (weights, sums and the optimizer stay in fp32).

    Only where the processor has instructions for it; models too small to gain stay exact.
    """
    flags = set(cpu_info.split())
    return parameters >= BF16_FROM_PARAMETERS and not flags.isdisjoint({"avx512_bf16", "amx_bf16"})


def bf16_pays(gain: float) -> bool:
    """Tell whether to multiply in bf16 where a product is ``gain`` times as fast as in fp32.

    The processor's word is not enough: of two with ``avx512_bf16`` one trained a 1m model 1.4 and a 10m model 1.6 times
    as fast as in fp32, the other both a third slower. What autocast converts costs, so a small gain is none.
    """
    return gain >= BF16_LEAST_GAIN


def checkpoint_interval(stall_s: float, num_gpus: int) -> float:
    """Return the seconds between checkpoints: Young/Daly ``sqrt(2 * stall * MTTF)``, 30 s to 1 h.

    >>> round(checkpoint_interval(1.0, 64) / 60)  # 64 GPUs fail every 33 days: 40 minutes (docs/thresholds.md)
    40
    """
    return min(MAX_CHECKPOINT_S, max(MIN_CHECKPOINT_S, math.sqrt(2.0 * stall_s * mttf_s(num_gpus))))


def mttf_s(num_gpus: int) -> float:
    """Return the mean seconds between two failures of so many GPUs together."""
    return 3600.0 * (CLUSTER_MTTF_GPU_HOURS / num_gpus if num_gpus else CPU_MTTF_HOURS)


def mfu(tokens_per_second: float, flops_a_token: int, peak: float) -> float:
    """Return the share of the peak that the model's own arithmetic uses, per GPU (PaLM, arXiv 2204.02311, app. B)."""
    return tokens_per_second * flops_a_token / peak
