"""How a training's state lies over its processes, and what follows from its size: pure decisions.

Owns who shards, who computes activations twice, and how long a save may take. Holds no tensor.
"""

from __future__ import annotations

import math

from daybreak_contracts.planning.memory import STATE_BYTES, activation_bytes
from daybreak_contracts.planning.sizes import Dimensions

CHECKPOINT_BYTES = 12
"""A parameter in a checkpoint: all of these but the gradient."""
STATE_SHARE = 0.6
"""Above this share of a GPU's memory the state leaves too little for activations (docs/thresholds.md)."""
SHARD_FROM_PARAMETERS = 2_000_000_000
"""3b and 7b, wherever they are trained: every process would hold 36 GB and more."""

WRITE_BYTES_PER_SECOND = 250_000_000
"""One process writes, digests and syncs at least so much: .32 GB/s were measured on two busy cores
(docs/benchmarks.md, "checkpoint of 10m"), and the slowest volumes that clouds sell for training give as much."""
LEAST_SHUTDOWN_S = 30
"""Kubernetes' own default; a step, the barrier and the last words fit."""


def is_sharded(
    parameters: int,
    processes: int,
    gpu_memory_bytes: int | None,
    from_parameters: int = SHARD_FROM_PARAMETERS,
) -> bool:
    """Tell whether every process holds a part of the state (FSDP2) in place of all of it (DDP).

    DDP below: it sends less, and one process can write the checkpoint.
    """
    if processes == 1:
        return False
    if parameters >= from_parameters:
        return True
    return gpu_memory_bytes is not None and STATE_BYTES * parameters > STATE_SHARE * gpu_memory_bytes


def recomputes(dims: Dimensions, context_length: int, memory_bytes: int) -> bool:
    """Tell whether layers are computed again in the backward pass: when not even one sample fits otherwise.

    It costs a third more arithmetic (one more forward pass), so never to make a micro-batch larger.
    """
    return activation_bytes(dims, context_length) > memory_bytes


def shutdown_seconds(parameters: int, processes: int, sharded: bool) -> int:
    """Return the seconds from SIGTERM to a saved checkpoint, at the slowest that is expected.

    Two checkpoints, because one may be on its way when the signal comes. A sharded one is written by all processes
    at once.

    >>> shutdown_seconds(100_000_000, 1, sharded=False), shutdown_seconds(7_000_000_000, 8, sharded=True)
    (40, 114)
    """
    share = CHECKPOINT_BYTES * parameters / (processes if sharded else 1)
    return LEAST_SHUTDOWN_S + math.ceil(2 * share / WRITE_BYTES_PER_SECOND)
