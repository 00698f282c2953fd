"""What a training computes on: whether there is a GPU that can be used, and how many threads a process takes."""

from __future__ import annotations

import os

import torch

from daybreak_contracts.errors import UserError
from daybreak_train.pod.environment import ProcessPlacement

ABSENT = ("Found no NVIDIA driver", "No CUDA GPUs", "no CUDA-capable device")
"""What CUDA says where there is no GPU; anything else it says of one that is there and cannot be used."""


def check(gpus_per_node: int) -> None:
    """Refuse a machine without a GPU where one is wanted; one that cannot be used is refused in CUDA's own words.

    ``torch.cuda.is_available`` alone says no to both, so a driver that is too old passed for a machine without GPUs.
    """
    if not gpus_per_node or torch.cuda.is_available():
        return
    wanted = f"gpusPerNode is {gpus_per_node} but"
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except AssertionError as error:  # a build for processors has no more to say
        raise UserError(
            f"{wanted} this torch is built without CUDA: use an image or environment with a CUDA build, or set it to 0 "
            "to train on the CPU"
        ) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in ABSENT):
            raise
    raise UserError(f"{wanted} this machine has no CUDA GPU: set it to 0 to train on the CPU")


def threads(cores: int, placement: ProcessPlacement) -> int:
    """Return how many threads each process of a machine computes with; 0 cores are all that it may use."""
    return max(1, (cores or len(os.sched_getaffinity(0))) // placement.local_world_size)
