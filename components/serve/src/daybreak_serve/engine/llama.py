"""A `LlamaForCausalLM` folder as the engine's `LanguageModel`: plain torch on the CPU, safetensors only.

The forward pass is ours: ``transformers`` takes five seconds to import and half of each token's time for what a
plain Llama does not need. What it computes is tested against ``transformers``. A model that needs more (scaled
rotary positions, biases) is refused. Keeps the caches of the last requests: an editor asks again with a prompt
that begins like the last one.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from daybreak_contracts.errors import UserError

MIN_REUSED = 16
"""Tokens; a shorter common start is not worth the bookkeeping."""
CACHE_STEP = 256
"""Tokens by which a cache grows."""


@dataclass(frozen=True)
class Shape:
    """What ``config.json`` says of a plain Llama."""

    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    vocabulary_size: int
    context_length: int
    norm_epsilon: float
    rope_theta: float
    is_tied: bool


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Return the shape of a plain Llama; a config that asks for more is a UserError that names the key."""
    plain: dict[str, tuple[Any, ...]] = {
        "hidden_act": ("silu",),
        "attention_bias": (False, None),
        "mlp_bias": (False, None),
        "rope_scaling": (None,),
    }
    for key, accepted in plain.items():
        if config.get(key, accepted[0]) not in accepted:
            raise UserError(f"config.json: {key}={config[key]!r} is not served on CPU, use TritonVLLM")
    heads = int(config["num_attention_heads"])
    return Shape(
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        key_value_heads=int(config.get("num_key_value_heads") or heads),
        head_size=int(config.get("head_dim") or config["hidden_size"] // heads),
        vocabulary_size=int(config["vocab_size"]),
        context_length=int(config["max_position_embeddings"]),
        norm_epsilon=float(config["rms_norm_eps"]),
        rope_theta=float(config.get("rope_theta", 10_000.0)),
        is_tied=bool(config.get("tie_word_embeddings", False)),
    )


@dataclass(frozen=True)
class _Layer:
    """Weights of one layer; queries, keys and values in one matrix, gate and up in another: fewer, larger calls."""

    attention_norm: Tensor
    qkv: Tensor
    out: Tensor
    feed_forward_norm: Tensor
    gate_up: Tensor
    down: Tensor


class Cache:
    """Keys and values of one request, ``(2, layers, key-value heads, capacity, head size)``, and its length."""

    def __init__(self, shape: Shape) -> None:
        self.length = 0
        self._values = torch.empty(2, shape.layers, shape.key_value_heads, 0, shape.head_size)

    def reserve(self, length: int) -> None:
        """Make room for so many tokens."""
        missing = length - self._values.shape[3]
        if missing > 0:
            more = -(-missing // CACHE_STEP) * CACHE_STEP
            self._values = functional.pad(self._values, (0, 0, 0, more))

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write the new tokens of a layer; return all of its keys and values. `length` is moved by the caller."""
        end = self.length + keys.shape[1]
        self._values[0, layer, :, self.length : end] = keys
        self._values[1, layer, :, self.length : end] = values
        return self._values[0, layer, :, :end], self._values[1, layer, :, :end]


class LlamaModel:
    """Runs in float32. One thread of callers."""

    def __init__(self, folder: Path, *, num_threads: int, kept_caches: int = 4) -> None:
        from safetensors.torch import load_file

        torch.set_num_threads(num_threads)
        self._shape = shape_of(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        weights = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
        self._embedding = weights["model.embed_tokens.weight"]
        self._norm = weights["model.norm.weight"]
        self._head = self._embedding if self._shape.is_tied else weights["lm_head.weight"]
        self._layers = [_layer_of(weights, index) for index in range(self._shape.layers)]
        self._cos, self._sin = rotations(self._shape)
        self._kept: OrderedDict[tuple[int, ...], Cache] = OrderedDict()
        self._num_kept = kept_caches
        self.context_length = self._shape.context_length
        self.vocabulary_size = self._shape.vocabulary_size

    def start(self, prompt_ids: Sequence[int]) -> tuple[Cache, int]:
        """Return a cache, a kept one cut to its common start with the prompt where there is one."""
        wanted = tuple(prompt_ids[:-1])  # the last token must be fed: its logits are not in the cache
        best = max(self._kept, key=lambda kept: common_start(kept, wanted), default=())
        length = common_start(best, wanted)
        if length < MIN_REUSED:
            return Cache(self._shape), 0
        cache = self._kept.pop(best)
        cache.length = length
        return cache, length

    def advance(self, cache: Cache, token_ids: Sequence[int]) -> NDArray[np.float32]:
        """Feed tokens; return the logits after the last, shape ``(vocabulary,)``."""
        with torch.inference_mode():
            x = self._embedding[torch.tensor(token_ids)]
            begin, end = cache.length, cache.length + len(token_ids)
            cache.reserve(end)
            turn = self._cos[begin:end], self._sin[begin:end]
            mask = causal_mask(begin, end) if len(token_ids) > 1 else None
            for index, layer in enumerate(self._layers):
                x = x + self._attend(index, self._normed(x, layer.attention_norm), cache, turn, mask)
                gate, up = functional.linear(self._normed(x, layer.feed_forward_norm), layer.gate_up).chunk(
                    2, -1
                )
                x = x + functional.linear(functional.silu(gate) * up, layer.down)
            cache.length = end
            logits: NDArray[np.float32] = functional.linear(
                self._normed(x[-1], self._norm), self._head
            ).numpy()
        return logits

    def release(self, cache: Cache, token_ids: Sequence[int]) -> None:
        """Keep the cache for a prompt that begins alike; the oldest goes."""
        if cache.length != len(token_ids):  # a request that failed half-way: not to be trusted
            return
        self._kept[tuple(token_ids)] = cache
        while len(self._kept) > self._num_kept:
            self._kept.popitem(last=False)

    def _normed(self, x: Tensor, weight: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self._shape.norm_epsilon) * weight

    def _attend(
        self, index: int, x: Tensor, cache: Cache, turn: tuple[Tensor, Tensor], mask: Tensor | None
    ) -> Tensor:
        """Grouped-query attention of ``x`` (tokens, hidden) over all that the cache holds."""
        shape, tokens = self._shape, x.shape[0]
        heads, groups = shape.key_value_heads, shape.heads // shape.key_value_heads
        qkv = functional.linear(x, self._layers[index].qkv).view(tokens, -1, shape.head_size).transpose(0, 1)
        rotated = rotate(qkv[: shape.heads + heads], *turn)
        keys, values = cache.append(index, rotated[shape.heads :], qkv[shape.heads + heads :])
        queries = rotated[: shape.heads].reshape(heads, groups * tokens, shape.head_size)
        scores = torch.bmm(queries, keys.transpose(1, 2)) * shape.head_size**-0.5
        if mask is not None:
            scores = (scores.view(heads, groups, tokens, -1) + mask).view(heads, groups * tokens, -1)
        mixed = torch.bmm(scores.softmax(-1), values).view(shape.heads, tokens, shape.head_size)
        return functional.linear(mixed.transpose(0, 1).reshape(tokens, -1), self._layers[index].out)


def _layer_of(weights: Mapping[str, Tensor], index: int) -> _Layer:
    def named(name: str) -> Tensor:
        return weights[f"model.layers.{index}.{name}.weight"]

    return _Layer(
        attention_norm=named("input_layernorm"),
        qkv=torch.cat([named(f"self_attn.{name}_proj") for name in "qkv"]),
        out=named("self_attn.o_proj"),
        feed_forward_norm=named("post_attention_layernorm"),
        gate_up=torch.cat([named("mlp.gate_proj"), named("mlp.up_proj")]),
        down=named("mlp.down_proj"),
    )


def rotations(shape: Shape) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of every position, ``(context, head size / 2)`` (arXiv 2104.09864, base theta)."""
    exponents = torch.arange(0, shape.head_size, 2, dtype=torch.float32) / shape.head_size
    angles = torch.outer(torch.arange(shape.context_length).float(), 1.0 / shape.rope_theta**exponents)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate ``x`` (heads, tokens, head size); pairs are the two halves, as in transformers' Llama."""
    first, second = x.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def causal_mask(begin: int, end: int) -> Tensor:
    """Return what is added to the scores of tokens ``begin..end`` over ``0..end``: minus infinity for later ones."""
    mask = torch.full((end - begin, end), float("-inf"))
    return mask.triu(begin + 1)


def common_start(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many leading tokens two lists share."""
    shortest = min(len(first), len(second))
    differing = (index for index in range(shortest) if first[index] != second[index])
    return next(differing, shortest)
