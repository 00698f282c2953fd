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
from daybreak_model.llama.layers import rotary_tables
from daybreak_model.llama.weights import LayerWeights, layer_of
from daybreak_serve.engine.packed import PackedMatrix

MIN_REUSED = 16
"""Tokens; a shorter common start is not worth the bookkeeping."""
CACHE_STEP = 256
"""Tokens by which a cache grows."""


class Cache:
    """Keys and values of one request, and its length.

    A tensor a layer of keys and values behind one another: ``(2 * key-value heads, capacity, head size)``.
    """

    def __init__(self, shape: LlamaShape) -> None:
        self.length = 0
        self._heads = shape.key_value_heads
        self._hold(torch.empty(shape.layers, 2 * shape.key_value_heads, 0, shape.head_size))

    def _hold(self, held: Tensor) -> None:
        self._held = held
        self._both = held.unbind()
        self._keys = held[:, : self._heads].unbind()
        self._values = held[:, self._heads :].unbind()

    def reserve(self, length: int) -> None:
        """Make room for so many tokens."""
        missing = length - self._held.shape[2]
        if missing > 0:
            more = -(-missing // CACHE_STEP) * CACHE_STEP
            self._hold(functional.pad(self._held, (0, 0, 0, more)))

    def append(self, layer: int, new: Tensor) -> tuple[Tensor, Tensor]:
        """Write keys and values of new tokens (both, tokens, head size) into a layer; return all of its keys and
        values. `length` is moved by the caller.
        """
        end = self.length + new.shape[1]
        self._both[layer][:, self.length : end] = new
        return self._keys[layer][:, :end], self._values[layer][:, :end]


class _Layer:
    """One layer of weights, laid out for few and large steps.

    The weight of a norm is part of the matrix behind it. A query or key has the two numbers that are turned together
    beside one another, so that turning is one complex product; queries are scaled already.
    """

    def __init__(self, weights: LayerWeights, shape: LlamaShape) -> None:
        qkv = weights.qkv * weights.attention_norm
        queries, keys, values = torch.split(qkv, [heads * shape.head_size for heads in _heads(shape)])
        turned = [_paired(queries * shape.head_size**-0.5, shape), _paired(keys, shape)]
        self.qkv = PackedMatrix(torch.cat([*turned, values]))
        self.out = PackedMatrix(weights.out)
        self.gate_up = PackedMatrix(weights.gate_up * weights.feed_forward_norm)
        self.down = PackedMatrix(weights.down)


def _heads(shape: LlamaShape) -> tuple[int, int, int]:
    return shape.heads, shape.key_value_heads, shape.key_value_heads


def _paired(rows: Tensor, shape: LlamaShape) -> Tensor:
    """Return a matrix whose outputs i and i + half of each head are neighbours."""
    half = shape.head_size // 2
    return rows.view(-1, 2, half, rows.shape[1]).transpose(1, 2).reshape(rows.shape)


class LlamaModel:
    """Runs in float32. One thread of callers."""

    def __init__(self, folder: Path, *, num_threads: int, kept_caches: int = 4) -> None:
        from safetensors.torch import load_file

        torch.set_num_threads(num_threads)
        self._shape = shape_of(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        weights = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
        self._embedding = weights["model.embed_tokens.weight"]
        head = self._embedding if self._shape.is_tied else weights["lm_head.weight"]
        self._head = PackedMatrix(head * weights["model.norm.weight"])
        self._epsilon = torch.tensor(self._shape.norm_epsilon)
        shape = self._shape
        self._layers = [_Layer(layer_of(weights, index), shape) for index in range(shape.layers)]
        self._turns = torch.complex(*rotary_tables(shape.head_size, shape.context_length, shape.rope_theta))
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
        logits: NDArray[np.float32] = self._feed([cache], token_ids, len(token_ids))[0]
        return logits

    def advance_together(self, caches: Sequence[Cache], token_ids: Sequence[int]) -> NDArray[np.float32]:
        """Feed one token to each cache; return the logits after them, shape ``(caches, vocabulary)``.

        The bits are those of `advance` for each alone.
        """
        return self._feed(caches, token_ids, 1)

    def _feed(self, caches: Sequence[Cache], token_ids: Sequence[int], size: int) -> NDArray[np.float32]:
        """Feed each cache its ``size`` of the tokens; return the logits after the last of each.

        Matrices and norms are computed for all rows at once, attention for each request as if it were alone.
        """
        with torch.inference_mode():
            places = [place for cache in caches for place in range(cache.length, cache.length + size)]
            x, turns = self._embedding[torch.tensor(token_ids)], self._turns[torch.tensor(places)][:, None]
            for cache in caches:
                cache.reserve(cache.length + size)
            mask = causal_mask(caches[0].length, caches[0].length + size) if size > 1 else None
            for index, layer in enumerate(self._layers):
                x = x + self._attend(index, self._normed(x), caches, turns, mask)
                gate, up = layer.gate_up(self._normed(x), apart=size == 1).chunk(2, dim=-1)
                x = x + layer.down(functional.silu(gate) * up, apart=size == 1)
            for cache in caches:
                cache.length += size
            logits: NDArray[np.float32] = self._head(self._normed(x[size - 1 :: size]), apart=True).numpy()
        return logits

    def release(self, cache: Cache, token_ids: Sequence[int]) -> None:
        """Keep the cache for a prompt that begins alike; the oldest goes."""
        if cache.length != len(token_ids):  # a request that failed half-way: not to be trusted
            return
        self._kept[tuple(token_ids)] = cache
        while len(self._kept) > self._num_kept:
            self._kept.popitem(last=False)

    def _normed(self, x: Tensor) -> Tensor:
        """Return ``x / sqrt(mean(x^2) + eps)``; the norm's weight is in the matrix that comes next."""
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * torch.addcmul(self._epsilon, norm, norm, value=1 / x.shape[1]).rsqrt()

    def _attend(
        self, index: int, x: Tensor, caches: Sequence[Cache], turns: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Grouped-query attention of ``x`` (rows, hidden), each request's rows over all that its cache holds."""
        shape, layer = self._shape, self._layers[index]
        heads, size = shape.heads, x.shape[0] // len(caches)
        qkv = layer.qkv(x, apart=size == 1)
        pairs = qkv.view(x.shape[0], -1, shape.head_size // 2, 2)[:, : heads + shape.key_value_heads]
        torch.view_as_complex(pairs).mul_(turns)
        qkv = qkv.view(x.shape[0], -1, shape.head_size)
        mixed = [
            attend(own[:, :heads].transpose(0, 1), *cache.append(index, own[:, heads:].transpose(0, 1)), mask)
            for cache, own in zip(caches, torch.split(qkv, size), strict=True)
        ]
        found = mixed[0] if len(mixed) == 1 else torch.cat(mixed)
        return layer.out(found.reshape(x.shape[0], -1), apart=size == 1)


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Return what one request's queries (heads, tokens, head size) find: (tokens, heads, head size).

    A key-value head serves as many query heads as there are more of them; ``mask`` is added to the scores.
    """
    heads, tokens, head_size = queries.shape
    shared = keys.shape[0]
    scores = torch.bmm(queries.reshape(shared, -1, head_size), keys.transpose(1, 2))
    if mask is not None:
        scores = (scores.view(shared, -1, *mask.shape) + mask).view(scores.shape)
    mixed = torch.bmm(scores.softmax(-1), values)
    return mixed.view(heads, tokens, head_size).transpose(0, 1)


def causal_mask(begin: int, end: int) -> Tensor:
    """Return what is added to the scores of tokens ``begin..end`` over ``0..end``: minus infinity for later ones."""
    mask = torch.full((end - begin, end), float("-inf"))
    return mask.triu(begin + 1)


def common_start(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many leading tokens two lists share."""
    shortest = min(len(first), len(second))
    differing = (index for index in range(shortest) if first[index] != second[index])
    return next(differing, shortest)
