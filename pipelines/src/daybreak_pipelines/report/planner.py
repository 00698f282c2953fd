"""What a real run needs: model size to tokens, code and GPU time. Pure arithmetic over published figures."""

from __future__ import annotations

from dataclasses import dataclass

from daybreak_contracts.planning.sizes import SIZES, flops_per_token, num_parameters

H100_BF16_FLOPS = 989e12
"""Dense bf16 peak of one H100 SXM (NVIDIA's data sheet without sparsity)."""
MFU = {"125m": 0.40, "350m": 0.45, "1b": 0.42, "3b": 0.43}
"""Public figures on H100: llm.c 124M 40.1 %, LLM Foundry 1.3B 41.8 % and 2.65B 43.7 %; 350m in between their
A100 rows. Model FLOPs are counted as LLM Foundry does: 6 N + 12 L d T a token, attention in full."""
TOKENS_PER_PARAMETER = 20
"""Compute-optimal (Hoffmann et al. 2022, arXiv 2203.15556); models for cheap serving are trained on 100 and more."""


@dataclass(frozen=True)
class Need:
    """Training length and time for one size: tokens, bytes of clean code, seconds on one and on eight H100."""

    size: str
    tokens: float
    code_bytes: float
    one_gpu_s: float
    eight_gpus_s: float


def need(size: str, vocabulary_size: int, context_length: int, bytes_per_token: float) -> Need:
    """Return what training one size takes; eight GPUs are taken to lose 5 % to communication."""
    tokens = float(TOKENS_PER_PARAMETER * num_parameters(SIZES[size], vocabulary_size))
    flops = flops_per_token(SIZES[size], vocabulary_size, context_length)
    seconds = tokens * flops / (MFU[size] * H100_BF16_FLOPS)
    return Need(size, tokens, tokens * bytes_per_token, seconds, seconds / 8 / 0.95)
