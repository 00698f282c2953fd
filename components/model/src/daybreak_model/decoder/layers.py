"""The weights of one layer of a decoder under transformers' names, fused, and the table of its rotary positions.

Queries, keys and values are one matrix, gate and up another: on a CPU two large products beat five small ones. Needs
torch. Reads and writes no file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from daybreak_model.decoder.shape import DecoderShape, RotaryScaling, YarnScaling


class WeightSource(Protocol):
    """Tensors by their names; a mapping is one, and so are files that are read on demand."""

    def __getitem__(self, name: str, /) -> Tensor: ...

    def __contains__(self, name: object, /) -> bool: ...


@dataclass(frozen=True)
class Affine:
    """A matrix, or the weight of a norm, with its bias if it has one."""

    weight: Tensor
    bias: Tensor | None = None

    def behind(self, norm: Affine) -> Affine:
        """Return this matrix with the weight and bias of the norm before it worked in."""
        bias = self.bias
        if norm.bias is not None:
            shift = self.weight @ norm.bias
            bias = shift if bias is None else bias + shift
        return Affine(self.weight * norm.weight, bias)


@dataclass(frozen=True)
class DecoderLayer:
    """Weights of one layer."""

    attention_norm: Affine
    qkv: Affine
    out: Affine
    feed_forward_norm: Affine
    up: Affine
    """Gate and up behind one another where the feed-forward is gated."""
    down: Affine


def affine(weights: WeightSource, name: str) -> Affine:
    """Return a matrix or norm by its name."""
    has_bias = f"{name}.bias" in weights
    return Affine(weights[f"{name}.weight"], weights[f"{name}.bias"] if has_bias else None)


def layer_of(weights: WeightSource, index: int, *, is_gated: bool) -> DecoderLayer:
    """Return one layer of weights under transformers' names."""
    here = f"model.layers.{index}."
    up = ("mlp.gate_proj", "mlp.up_proj") if is_gated else ("mlp.c_fc",)
    return DecoderLayer(
        attention_norm=affine(weights, f"{here}input_layernorm"),
        qkv=_stacked([affine(weights, f"{here}self_attn.{name}_proj") for name in "qkv"]),
        out=affine(weights, f"{here}self_attn.o_proj"),
        feed_forward_norm=affine(weights, f"{here}post_attention_layernorm"),
        up=_stacked([affine(weights, here + name) for name in up]),
        down=affine(weights, here + ("mlp.down_proj" if is_gated else "mlp.c_proj")),
    )


def _stacked(parts: Sequence[Affine]) -> Affine:
    """Return matrices behind one another as one; a bias that one of them lacks is zero."""
    if len(parts) == 1:
        return parts[0]
    weight = torch.cat([part.weight for part in parts])
    if all(part.bias is None for part in parts):
        return Affine(weight)
    biases = [
        part.weight.new_zeros(part.weight.shape[0]) if part.bias is None else part.bias for part in parts
    ]
    return Affine(weight, torch.cat(biases))


def rotary_turns(shape: DecoderShape) -> Tensor:
    """Return the turn of every position, complex (context, head size / 2), computed as transformers does."""
    half = torch.arange(0, shape.head_size, 2, dtype=torch.int64).float() / shape.head_size
    frequencies = 1.0 / (shape.rope_theta**half)
    magnitude = 1.0
    if isinstance(shape.rotary, YarnScaling):
        frequencies, magnitude = _stretched(frequencies, shape, shape.rotary), shape.rotary.magnitude
    elif shape.rotary is not None:
        frequencies = _scaled(frequencies, shape.rotary)
    angles = torch.outer(torch.arange(shape.context_length).float(), frequencies)
    return torch.complex(angles.cos() * magnitude, angles.sin() * magnitude)


def _stretched(frequencies: Tensor, shape: DecoderShape, scaling: YarnScaling) -> Tensor:
    """Return YaRN's frequencies: by the factor from the dimension that turns slowly, as they are to the one that
    turns fast, a straight line between them."""

    def dimension(turns: float) -> float:
        length = scaling.original_context / (turns * 2 * math.pi)
        return shape.head_size * math.log(length) / (2 * math.log(shape.rope_theta))

    low, high = dimension(scaling.fast), dimension(scaling.slow)
    if scaling.is_whole:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, shape.head_size - 1)
    steps = (torch.arange(len(frequencies)).float() - low) / ((high - low) or 0.001)
    share = steps.clamp(0, 1)
    return share * frequencies / scaling.factor + (1 - share) * frequencies


def _scaled(frequencies: Tensor, scaling: RotaryScaling) -> Tensor:
    """Return slower frequencies: short waves as they are, long ones by the factor, between them something between."""
    slow = frequencies / scaling.factor
    if scaling.low is None:
        return slow
    waves = scaling.original_context * frequencies / (2 * math.pi)
    share = ((waves - scaling.low) / (scaling.high - scaling.low)).clamp(0, 1)
    return (1 - share) * slow + share * frequencies
