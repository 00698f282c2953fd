"""Arithmetic of model sizes that training and planning share. Pure.

Owns the one formula for FLOPs. The dimensions of the named sizes are the trainer's.
"""

from __future__ import annotations


def flops_per_token(num_parameters: int, layers: int, hidden_size: int, context_length: int) -> int:
    """Return the training FLOPs of one token: ``6 N + 12 L d T``.

    The convention of LLM Foundry's benchmarks (mosaicml/llm-foundry, scripts/train/benchmarking): N counts tied
    embeddings once, attention is counted full (not causal), a multiply-add is two. Recomputation is not counted.
    """
    return 6 * num_parameters + 12 * layers * hidden_size * context_length
