"""A `LlamaForCausalLM` folder as the engine's `EngineModel`: plain torch on the CPU, safetensors only.

The forward pass is ours: ``transformers`` takes five seconds to import and half of each token's time for what a
plain Llama does not need. What it computes is tested against ``transformers``. A model that needs more (scaled
rotary positions, biases) is refused. Keeps the caches of the last requests: an editor asks again with a prompt
that begins like the last one.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from daybreak_model.llama.config import LlamaShape, shape_of
from daybreak_model.llama.layers import rms_norm, rotary_tables, rotate, swiglu
from daybreak_model.llama.weights import layer_of

MIN_REUSED = 16
"""Tokens; a shorter common start is not worth the bookkeeping."""
CACHE_STEP = 256
"""Tokens by which a cache grows."""


class Cache:
    """Keys and values of one request, ``(2, layers, key-value heads, capacity, head size)``, and its length."""

    def __init__(self, shape: LlamaShape) -> None:
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
        self._layers = [layer_of(weights, index) for index in range(self._shape.layers)]
        shape = self._shape
        self._cos, self._sin = rotary_tables(shape.head_size, shape.context_length, shape.rope_theta)
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
                x = x + swiglu(self._normed(x, layer.feed_forward_norm), layer.gate_up, layer.down)
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
        return rms_norm(x, weight, self._shape.norm_epsilon)

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


def causal_mask(begin: int, end: int) -> Tensor:
    """Return what is added to the scores of tokens ``begin..end`` over ``0..end``: minus infinity for later ones."""
    mask = torch.full((end - begin, end), float("-inf"))
    return mask.triu(begin + 1)


def common_start(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many leading tokens two lists share."""
    shortest = min(len(first), len(second))
    differing = (index for index in range(shortest) if first[index] != second[index])
    return next(differing, shortest)
