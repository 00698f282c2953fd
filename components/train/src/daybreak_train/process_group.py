"""The ranks of a training as one group: how they meet, and how long a silent one is waited for.

Owns that alone; what they say to each other is others' business.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TypeVar

from torch import distributed as dist

from daybreak_train.lean_imports import import_composer
from daybreak_train.pod.environment import ProcessPlacement

composer = import_composer()

TIMEOUT_S = 600
"""A rank that is silent for longer is taken for dead (torch's own default lets NCCL hang for 30 minutes)."""
Said = TypeVar("Said")


@contextlib.contextmanager
def joined(placement: ProcessPlacement, device: str, mine: Said) -> Iterator[Said]:
    """Join the other ranks and yield what the leader has in place of ``mine``; a lone process needs nobody.

    Nobody goes on before all have come: the local leaders have prepared the shards.
    """
    if placement.world_size == 1:
        yield mine
        return
    composer.utils.dist.initialize_dist("gpu" if device == "cuda" else "cpu", timeout=TIMEOUT_S)
    dist.barrier()
    said = [mine]
    dist.broadcast_object_list(said, src=0)
    try:
        yield said[0]
    finally:
        dist.destroy_process_group()
