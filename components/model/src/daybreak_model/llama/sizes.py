"""What a Llama of ours has besides its dimensions: rotary base, norm, initialisation.

Owns no tensor. Dimensions and the arithmetic on them are the contracts' (``planning.sizes``), offered from here too.
"""

from __future__ import annotations

from daybreak_contracts.planning.sizes import (
    SIZES,
    Dimensions,
    dimensions_of,
    flops_per_token,
    num_parameters,
)

__all__ = [
    "INIT_STANDARD_DEVIATION",
    "NORM_EPSILON",
    "SIZES",
    "Dimensions",
    "dimensions_of",
    "flops_per_token",
    "num_parameters",
    "rope_theta",
]

ROPE_THETA_SHORT = 10_000.0
"""RoPE base up to 4,096 tokens (Llama 2)."""
ROPE_THETA_LONG = 1_000_000.0
"""RoPE base for longer contexts (Qwen2.5)."""
NORM_EPSILON = 1e-5
INIT_STANDARD_DEVIATION = 0.02


def rope_theta(context_length: int) -> float:
    """Return the base of the rotary embedding for a training context of this many tokens."""
    return ROPE_THETA_SHORT if context_length <= 4096 else ROPE_THETA_LONG
