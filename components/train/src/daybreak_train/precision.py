"""What a run's products are computed in: measured once, by the process that leads. Owns the measurement."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
from torch import distributed as dist

from daybreak_contracts.planning import recipe
from daybreak_train.pod.environment import ProcessPlacement


def chosen_precision(parameters: int, device: torch.device, placement: ProcessPlacement) -> str:
    """Return what products shall be computed in, as torch calls it; weights, sums and the optimizer stay in fp32.

    Rank 0 measures and all do the same. It is asked once in a run's life: its checkpoints keep the answer, for a resume
    on another processor must not go on with other arithmetic.
    """
    chosen = ["bfloat16" if device.type == "cuda" else "float32"]
    if device.type != "cuda" and placement.is_leader and recipe.bf16_may_pay(_cpu_flags(), parameters):
        chosen = ["bfloat16" if recipe.bf16_pays(_bf16_gain()) else "float32"]
    if placement.world_size > 1:
        dist.broadcast_object_list(chosen, src=0)
    return chosen[0]


def _bf16_gain() -> float:
    """Return how many times as fast a product is in bf16 as in fp32: the best of twenty in turn, some 100 ms.

    In one thread: several wait for each other where others compute beside, and the answer would be chance.
    """
    best = dict.fromkeys((torch.float32, torch.bfloat16), math.inf)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            for _ in range(20):
                for dtype in best:
                    left, right = torch.ones(512, 384, dtype=dtype), torch.ones(384, 1024, dtype=dtype)
                    began = time.perf_counter()
                    torch.matmul(left, right)
                    best[dtype] = min(best[dtype], time.perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return best[torch.float32] / best[torch.bfloat16]


def _cpu_flags() -> str:
    """Return what Linux says of this processor; empty elsewhere."""
    info = Path("/proc/cpuinfo")
    return info.read_text() if info.exists() else ""
