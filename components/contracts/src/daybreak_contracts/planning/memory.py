"""What one process of a training holds in memory, before there is one.

Owns the arithmetic. What the libraries themselves take (torch, Composer, CUDA's context) is measured, not planned.
"""

from __future__ import annotations

from dataclasses import dataclass

from daybreak_contracts.planning.sizes import Dimensions, num_parameters

STATE_BYTES = 16
"""A parameter: fp32 weight and gradient, two fp32 moments of AdamW (ZeRO, arXiv 1910.02054, section 3.1)."""
CPU_ACTIVATION_BYTES = 1 << 30
GPU_ACTIVATION_SHARE = 0.6
"""Of what is free beside weights, gradients and optimizer: what one micro-batch may take."""


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes of one process."""

    states: int
    """Weights, gradients and optimizer."""
    activations: int
    """Of one micro-batch, kept for the backward pass."""
    logits: int
    """Of one micro-batch: the hidden cost of small models with large vocabularies."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.states + self.activations + self.logits


def state_bytes(dims: Dimensions, vocabulary_size: int, shards: int = 1) -> int:
    """Return the bytes of weights, gradients and optimizer in one of so many processes that share them.

    >>> state_bytes(Dimensions(16, 1, 2, 1, 32), 512)
    168704
    """
    return -(-STATE_BYTES * num_parameters(dims, vocabulary_size) // shards)


def activation_bytes(dims: Dimensions, context_length: int, recomputed: bool = False) -> int:
    """Return what one sample leaves for the backward pass, without its logits.

    In 4-byte values a token and layer about 10 d + 5 ff: the inputs of every product and of both norms. Recomputed, a
    layer keeps its input alone (d), and one layer at a time is there in full. The document mask is a byte a pair of
    positions, where it is dense: up to 4,096.
    """
    layer = 10 * dims.hidden_size + 5 * dims.intermediate_size
    kept = dims.layers * dims.hidden_size + layer if recomputed else dims.layers * layer
    return 4 * kept * context_length + min(context_length, 4096) ** 2


def need(
    dims: Dimensions, vocabulary_size: int, context_length: int, micro_batch: int, shards: int = 1
) -> MemoryNeed:
    """Return what one process holds; logits are two 4-byte values a token and vocabulary entry (value, gradient)."""
    return MemoryNeed(
        states=state_bytes(dims, vocabulary_size, shards),
        activations=micro_batch * activation_bytes(dims, context_length),
        logits=micro_batch * 8 * context_length * vocabulary_size,
    )
