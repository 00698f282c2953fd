"""The model: a Llama-style decoder in plain torch.

Owns the forward pass and the loss. Owns neither the optimizer nor how weights are stored. After export its logits
are those of ``transformers.LlamaForCausalLM`` with the same weights.

Queries, keys and values are one matrix, gate and up another: on a CPU two large products beat five small ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from daybreak_model.llama.layers import rms_norm, rotary_tables, rotate, swiglu
from daybreak_model.llama.sizes import INIT_STANDARD_DEVIATION, NORM_EPSILON, Dimensions, rope_theta
from daybreak_train.document_attention import attend, mask_for
from daybreak_train.objectives.protocol import IGNORED

if TYPE_CHECKING:
    from daybreak_train.document_attention import DocumentMask

LOGITS_IN_A_CHUNK = {"cpu": 1 << 22, "cuda": 1 << 27}
"""Logits held at once by the loss: 16 MiB in fp32 stay near a CPU's caches; a GPU wants large products (512 MiB)."""


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes the shape of the weights and of the computation."""

    dims: Dimensions
    vocabulary_size: int
    context_length: int
    end_of_text: int | None = None
    """While training, attention does not cross this token; None: plain causal."""

    def to_json(self) -> dict[str, Any]:
        """Return what ``model.json`` of the artifact says about the model."""
        return {
            "dimensions": self.dims.to_json(),
            "vocabularySize": self.vocabulary_size,
            "contextLength": self.context_length,
            "normEpsilon": NORM_EPSILON,
            "ropeTheta": rope_theta(self.context_length),
        }


class RMSNorm(nn.Module):
    """``rms_norm`` with a weight that is learned."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` of shape (..., size)."""
        return rms_norm(x, self.weight, NORM_EPSILON)


class Attention(nn.Module):
    """Causal attention with rotary positions and shared key-value heads."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        self.heads, self.key_value_heads, self.head_size = dims.heads, dims.key_value_heads, dims.head_size
        rows = (dims.heads + 2 * dims.key_value_heads) * dims.head_size
        self.qkv = nn.Linear(dims.hidden_size, rows, bias=False)
        self.out = nn.Linear(dims.hidden_size, dims.hidden_size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: DocumentMask | None) -> Tensor:
        """Attend within ``x`` of shape (batch, tokens, hidden); ``mask`` None means plain causal."""
        batch, tokens, hidden = x.shape
        qkv = self.qkv(x).view(batch, tokens, -1, self.head_size)
        # split and not slices: the gradient of a slice is a zero-filled copy of the whole
        turned, v = torch.split(qkv, [self.heads + self.key_value_heads, self.key_value_heads], dim=2)
        q, k = torch.split(rotate(turned, cos, sin), [self.heads, self.key_value_heads], dim=2)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        mixed = attend(q, k, v, mask)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, tokens, hidden))
        return out


class FeedForward(nn.Module):
    """``swiglu`` with weights that are learned."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        self.gate_up = nn.Linear(dims.hidden_size, 2 * dims.intermediate_size, bias=False)
        self.down = nn.Linear(dims.intermediate_size, dims.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., hidden) to (..., hidden)."""
        return swiglu(x, self.gate_up.weight, self.down.weight)


class Block(nn.Module):
    """One layer: attention and feed-forward, each behind a norm and beside a shortcut."""

    def __init__(self, dims: Dimensions) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(dims.hidden_size)
        self.attention = Attention(dims)
        self.feed_forward_norm = RMSNorm(dims.hidden_size)
        self.feed_forward = FeedForward(dims)
        self.recomputed = False
        """Whether the backward pass computes the layer again from its input, which alone is kept."""

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: DocumentMask | None) -> Tensor:
        """Map (batch, tokens, hidden) to the same shape."""
        if self.recomputed and torch.is_grad_enabled():
            # nothing in a layer is drawn, so there is no random state to put back
            again: Tensor = checkpoint(
                self._forward, x, cos, sin, mask, use_reentrant=False, preserve_rng_state=False
            )
            return again
        return self._forward(x, cos, sin, mask)

    def _forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: DocumentMask | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin, mask)
        out: Tensor = x + self.feed_forward(self.feed_forward_norm(x))
        return out


class Llama(nn.Module):
    """Token ids in, logits or summed loss out; input and output embeddings are one matrix."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dims = config.dims
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary_size, dims.hidden_size)
        self.layers = nn.ModuleList(Block(dims) for _ in range(dims.layers))
        self.norm = RMSNorm(dims.hidden_size)
        cos, sin = rotary_buffers(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def recompute(self, again: bool) -> None:
        """Let every layer be computed again in the backward pass, or not."""
        for layer in self.layers:
            assert isinstance(layer, Block)
            layer.recomputed = again

    def hidden(self, tokens: Tensor, mask: DocumentMask | None = None) -> Tensor:
        """Return the last hidden states (batch, tokens, hidden) of ids (batch, tokens)."""
        x = self.embedding(tokens)
        length = tokens.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        for layer in self.layers:
            x = layer(x, cos, sin, mask)
        out: Tensor = self.norm(x)
        return out

    def forward(self, tokens: Tensor, mask: DocumentMask | None = None) -> Tensor:
        """Return logits (batch, tokens, vocabulary)."""
        return functional.linear(self.hidden(tokens, mask), self.embedding.weight)

    def loss_sum(self, tokens: Tensor, labels: Tensor) -> Tensor:
        """Return the summed loss in nats over labels that are not ignored.

        ``labels`` (batch, tokens) are aligned with ``tokens``: position i is trained to say label i.
        """
        end = self.config.end_of_text
        hidden = self.hidden(tokens, None if end is None else mask_for(tokens, end))
        return linear_cross_entropy(hidden.flatten(0, 1), self.embedding.weight, labels.flatten())


def rotary_buffers(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of all positions, (tokens, 1, half): the same for all heads."""
    theta = rope_theta(config.context_length)
    cos, sin = rotary_tables(config.dims.head_size, config.context_length, theta)
    return cos.unsqueeze(1), sin.unsqueeze(1)


def initialise(model: Llama, seed: int, put: Callable[[Tensor, Tensor], object] = Tensor.copy_) -> None:
    """Draw all weights: N(0, 0.02), projections into the shortcut scaled by 1 / sqrt(2 L) (GPT-2, OLMo 2).

    ``put`` writes the values of a whole weight; a process that holds a part of it takes its rows.
    """
    generator = torch.Generator().manual_seed(seed)
    shrink = 1.0 / math.sqrt(2 * model.config.dims.layers)
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            with torch.no_grad():
                put(weight, torch.ones(weight.shape))
            continue
        into_shortcut = name.endswith(("attention.out.weight", "feed_forward.down.weight"))
        deviation = INIT_STANDARD_DEVIATION * (shrink if into_shortcut else 1.0)
        with torch.no_grad():
            put(weight, torch.empty(weight.shape).normal_(0.0, deviation, generator=generator))


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients chunk by chunk, so that the logits of a batch never exist at once.

    The gradients are made in the forward pass while a chunk's logits are warm: three products instead of the four
    that recomputation needs (Liger Kernel, arXiv 2410.10989, section 3.2).
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, master: Tensor, labels: Tensor, dtype: torch.dtype) -> Tensor:
        hidden, weight = hidden.to(dtype), master.to(dtype)
        rows = max(1, LOGITS_IN_A_CHUNK[hidden.device.type] // weight.shape[0])
        need_gradient = any(ctx.needs_input_grad)
        hidden_gradient = torch.empty_like(hidden) if need_gradient else None
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if need_gradient else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        tiny = torch.finfo(torch.float32).tiny
        for start in range(0, hidden.shape[0], rows):
            part, wanted = hidden[start : start + rows], labels[start : start + rows]
            # one fused pass over the logits; a label less likely than 1e-38 counts as 87 nats
            chance = functional.linear(part, weight).softmax(1, dtype=torch.float32)
            kept = (wanted != IGNORED).unsqueeze(1)
            index = wanted.clamp_min(0).unsqueeze(1)
            total -= (chance.gather(1, index).clamp_min(tiny).log() * kept).sum()
            if hidden_gradient is None or weight_gradient is None:
                continue
            chance.scatter_add_(1, index, torch.full_like(index, -1, dtype=chance.dtype))
            if hidden.is_cuda or not kept.all():  # asking a GPU would wait for it
                chance.mul_(kept)
            slope = chance.to(weight.dtype)
            torch.mm(slope, weight, out=hidden_gradient[start : start + rows])
            if weight.dtype == torch.float32:
                weight_gradient.addmm_(slope.t(), part)
            else:
                weight_gradient += slope.t() @ part
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        (scale,) = gradients
        return hidden_gradient * scale, weight_gradient * scale, None, None


def linear_cross_entropy(hidden: Tensor, weight: Tensor, labels: Tensor) -> Tensor:
    """Return the summed cross entropy in nats of ``hidden @ weight.T`` against labels; -100 is ignored.

    ``hidden`` is (rows, width), ``weight`` (vocabulary, width), ``labels`` (rows,).
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    with torch.autocast(device, enabled=False):
        loss: Tensor = _LinearCrossEntropy.apply(hidden, weight, labels, dtype)
    return loss
