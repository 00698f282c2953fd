"""The parts of a Llama layer that training and serving compute alike, as functions of tensors.

Attention is not among them: training attends within whole samples, serving over a cache. Needs torch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Return ``x / sqrt(mean(x^2) + eps) * weight`` over the last axis, in fp32 (Zhang and Sennrich 2019)."""
    wide = x.float()
    scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    return (wide * scale).to(x.dtype) * weight.to(x.dtype)


def swiglu(x: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
    """Return ``down(silu(gate(x)) * up(x))`` (Shazeer 2020); ``gate_up`` is both matrices in one."""
    gate, up = functional.linear(x, gate_up).chunk(2, dim=-1)
    return functional.linear(functional.silu(gate) * up, down)


def rotary_tables(head_size: int, context_length: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of every position, (context, head size / 2) (Su et al. 2021, arXiv 2104.09864)."""
    half = torch.arange(0, head_size, 2, dtype=torch.int64).float() / head_size
    angles = torch.outer(torch.arange(context_length).float(), 1.0 / (theta**half))
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn pairs (i, i + half) of the last axis of ``x`` by the position's angle, as in transformers' Llama.

    ``cos`` and ``sin`` broadcast against half of ``x``.
    """
    first, second = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
