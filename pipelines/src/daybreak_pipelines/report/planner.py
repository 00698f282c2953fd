"""What a real run needs: model size to tokens, code and GPU time.

Owns which sizes and which GPU are shown; speeds are those that ``daybreak plan`` takes (``planning.throughput``).
"""

from __future__ import annotations

from dataclasses import dataclass

from daybreak_contracts.planning import gpus, throughput
from daybreak_contracts.planning.recipe import TOKENS_PER_PARAMETER
from daybreak_contracts.planning.sizes import SIZES, flops_per_token, num_parameters

GPU = gpus.SHORT_NAMES["H100"]
SHOWN = ("125m", "350m", "1b", "3b")


@dataclass(frozen=True)
class Need:
    """Training length and time for one size: tokens, bytes of clean code, seconds on one and on eight H100."""

    size: str
    tokens: float
    code_bytes: float
    one_gpu_s: float
    eight_gpus_s: float


def need(size: str, vocabulary_size: int, context_length: int, bytes_per_token: float) -> Need:
    """Return what training one size takes, on average and without a stop."""
    parameters = num_parameters(SIZES[size], vocabulary_size)
    tokens = float(TOKENS_PER_PARAMETER * parameters)
    flops = flops_per_token(SIZES[size], vocabulary_size, context_length)
    one, eight = (throughput.published(GPU, number, parameters, flops) for number in (1, 8))
    assert one is not None
    assert eight is not None
    return Need(size, tokens, tokens * bytes_per_token, tokens / one.likely, tokens / eight.likely)
