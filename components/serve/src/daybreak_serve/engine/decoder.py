"""A folder of a Llama or its kin as the engine's `EngineModel`: plain torch on the CPU, safetensors only.

The forward pass is ours: ``transformers`` takes five seconds to import and half of each token's time for what these
models do not need. What it computes is tested against ``transformers``, for each family. What it does not compute is
refused (`daybreak_model.decoder.shape`). Keeps the caches of the last requests: an editor asks again with a prompt
that begins like the last one.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from daybreak_model.decoder.layers import Affine, DecoderLayer, affine, layer_of, rotary_turns
from daybreak_model.decoder.shape import Activation, DecoderShape, shape_of
from daybreak_serve.engine.packed import PackedMatrix
from daybreak_serve.engine.weights import FolderWeights

MIN_REUSED = 16
"""Tokens; a shorter common start is not worth the bookkeeping."""
CACHE_STEP = 256
"""Tokens by which a cache grows."""
ACTIVATIONS: Mapping[Activation, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "gelu_pytorch_tanh": lambda x: functional.gelu(x, approximate="tanh"),
}


class Cache:
    """Keys and values of one request, and its length.

    A tensor a layer of keys and values behind one another: ``(2 * key-value heads, capacity, head size)``.
    """

    def __init__(self, shape: DecoderShape) -> None:
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

    Weight and bias of a norm are part of the matrix behind it. A query or key has the two numbers that are turned
    together beside one another, so that turning is one complex product; queries are scaled already.
    """

    def __init__(self, weights: DecoderLayer, shape: DecoderShape) -> None:
        self.qkv = _packed(_turnable(weights.qkv.behind(weights.attention_norm), shape))
        self.out = _packed(weights.out)
        self.up = _packed(weights.up.behind(weights.feed_forward_norm))
        self.down = _packed(weights.down)


def _packed(found: Affine) -> PackedMatrix:
    return PackedMatrix(found.weight, found.bias)


def _turnable(qkv: Affine, shape: DecoderShape) -> Affine:
    """Return the matrix of queries, keys and values with the former two paired, and the queries scaled."""
    bias = None if qkv.bias is None else _paired_qkv(qkv.bias[:, None], shape)[:, 0]
    return Affine(_paired_qkv(qkv.weight, shape), bias)


def _paired_qkv(rows: Tensor, shape: DecoderShape) -> Tensor:
    queries, keys, values = torch.split(rows, [heads * shape.head_size for heads in _heads(shape)])
    return torch.cat([_paired(queries * shape.head_size**-0.5, shape), _paired(keys, shape), values])


def _heads(shape: DecoderShape) -> tuple[int, int, int]:
    return shape.heads, shape.key_value_heads, shape.key_value_heads


def _paired(rows: Tensor, shape: DecoderShape) -> Tensor:
    """Return a matrix whose outputs i and i + half of each head are neighbours."""
    half = shape.head_size // 2
    return rows.view(-1, 2, half, rows.shape[1]).transpose(1, 2).reshape(rows.shape)


class DecoderModel:
    """Runs in float32. One thread of callers."""

    def __init__(self, folder: Path, *, num_threads: int, kept_caches: int = 4) -> None:
        torch.set_num_threads(num_threads)
        shape = self._shape = shape_of(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        weights = FolderWeights(folder)
        self._embedding = weights["model.embed_tokens.weight"]
        head = Affine(self._embedding) if shape.is_tied else affine(weights, "lm_head")
        self._head = _packed(head.behind(affine(weights, "model.norm")))
        self._epsilon = torch.tensor(shape.norm_epsilon)
        self._activate = ACTIVATIONS[shape.activation]
        self._layers = [
            _Layer(layer_of(weights, index, is_gated=shape.is_gated), shape) for index in range(shape.layers)
        ]
        self._turns = rotary_turns(shape)
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
            masks = self._masks(caches[0].length, size)
            for index, layer in enumerate(self._layers):
                mask = masks[self._shape.windows[index]]
                x = x + self._attend(index, self._normed(x), caches, turns, mask)
                up = layer.up(self._normed(x), apart=size == 1)
                x = x + layer.down(self._activated(up), apart=size == 1)
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

    def _masks(self, begin: int, size: int) -> dict[int | None, Tensor | None]:
        """Return the mask for each window that a layer has; one token at the end needs none, its keys are cut."""
        windows = set(self._shape.windows)
        if size == 1:
            return dict.fromkeys(windows)
        return {window: causal_mask(begin, begin + size, window) for window in windows}

    def _activated(self, up: Tensor) -> Tensor:
        """Return what goes into the feed-forward's second matrix."""
        if not self._shape.is_gated:
            return self._activate(up)
        gate, up = up.chunk(2, dim=-1)
        return self._activate(gate) * up

    def _normed(self, x: Tensor) -> Tensor:
        """Return ``x / sqrt(mean(x^2) + eps)``, of a layer norm with its mean taken off first; the norm's weight and
        bias are in the matrix that comes next.
        """
        if self._shape.norm == "layer":
            x = x - x.mean(dim=-1, keepdim=True)
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
        window = shape.windows[index] if size == 1 else None
        mixed = [
            attend(
                own[:, :heads].transpose(0, 1),
                *_last(window, *cache.append(index, own[:, heads:].transpose(0, 1))),
                mask,
            )
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


def _last(window: int | None, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the keys and values that the last token sees."""
    if window is None or keys.shape[1] <= window:
        return keys, values
    return keys[:, -window:], values[:, -window:]


def causal_mask(begin: int, end: int, window: int | None = None) -> Tensor:
    """Return what is added to the scores of tokens ``begin..end`` over ``0..end``: minus infinity for later ones, and
    for those that are ``window`` tokens back or more.
    """
    mask = torch.full((end - begin, end), float("-inf"))
    if window is None:
        return mask.triu(begin + 1)
    return mask.triu(begin + 1) + mask.tril(begin - window)


def common_start(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many leading tokens two lists share."""
    shortest = min(len(first), len(second))
    differing = (index for index in range(shortest) if first[index] != second[index])
    return next(differing, shortest)
