"""Attention that stays within a document, in the way that suits device and length.

Owns one rule and three ways to it. The rule: a position sees those before it in its own document, and a document's end
belongs to it; it holds at every length. The ways: a dense mask, one product a document, and flex attention, which
leaves out blocks of 128 x 128 positions where no document reaches. They are equal up to rounding; what a GPU uses asks
the device for no value, so it does not wait.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

log = logging.getLogger(__name__)

DENSE_UP_TO = 4096
"""A dense mask grows with the square of the context: 16 MiB a sample here, 256 MiB at 16,384."""
BLOCK = 128
"""Positions of a block of flex attention (its default, and what its kernels are tuned for)."""


@dataclass(frozen=True)
class DocumentSpans:
    """How many positions each document has, sample after sample: a document never spans two samples."""

    sizes: list[int]


if TYPE_CHECKING:
    DocumentMask = Tensor | DocumentSpans | BlockMask


def mask_for(tokens: Tensor, end_of_text: int) -> DocumentMask:
    """Return what ``attend`` needs to keep the documents of ``tokens`` (batch, tokens) apart."""
    if tokens.is_cuda and flex_compiles():
        return block_mask(tokens, end_of_text)
    return (
        dense_mask(tokens, end_of_text)
        if tokens.shape[1] <= DENSE_UP_TO
        else document_spans(tokens, end_of_text)
    )


def attend(q: Tensor, k: Tensor, v: Tensor, mask: DocumentMask | None) -> Tensor:
    """Return the mixed values (batch, heads, tokens, head size); ``k`` and ``v`` may have fewer heads than ``q``.

    ``mask`` None means plain causal.
    """
    if mask is not None and not isinstance(mask, Tensor | DocumentSpans):
        mixed: Tensor = _flex()(q, k, v, block_mask=mask, enable_gqa=k.shape[1] != q.shape[1])
        return mixed
    groups = q.shape[1] // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    if isinstance(mask, DocumentSpans):
        return _by_document(q, k, v, mask)
    return functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)


def document_ids(tokens: Tensor, end_of_text: int) -> Tensor:
    """Return the number of its document for every position (batch, tokens), from 0 in every sample."""
    ends = tokens == end_of_text
    return ends.cumsum(1) - ends.long()


def dense_mask(tokens: Tensor, end_of_text: int) -> Tensor:
    """Return which positions each position sees, (batch, 1, tokens, tokens).

    On a CPU the mask costs 3 % of a step at most (one core, contexts of 512).
    """
    document = document_ids(tokens, end_of_text)
    same = document.unsqueeze(2) == document.unsqueeze(1)
    return same.tril().unsqueeze(1)


def document_spans(tokens: Tensor, end_of_text: int) -> DocumentSpans:
    """Return the documents' sizes; asks the device for them, so it is for the CPU."""
    samples, length = tokens.shape
    apart = document_ids(tokens, end_of_text) + (length + 1) * torch.arange(samples).unsqueeze(1)
    _, sizes = torch.unique_consecutive(apart, return_counts=True)
    return DocumentSpans(sizes.tolist())


def block_mask(tokens: Tensor, end_of_text: int) -> BlockMask:
    """Return flex attention's mask, made from each block's first and last document and not from all pairs.

    Documents follow each other, so a block of keys is seen by a block of queries if its last document is no earlier
    than the queries' first; it is seen whole if it lies before them and both are one and the same document.
    """
    from torch.nn.attention.flex_attention import BlockMask

    document = document_ids(tokens, end_of_text)
    length = tokens.shape[1]
    starts = torch.arange(0, length, BLOCK, device=tokens.device)
    first, last = document[:, starts], document[:, (starts + BLOCK - 1).clamp_max(length - 1)]
    before = starts.unsqueeze(1) > starts.unsqueeze(0)
    reached = (last.unsqueeze(1) >= first.unsqueeze(2)) & (starts.unsqueeze(1) >= starts.unsqueeze(0))
    whole = (first.unsqueeze(1) == last.unsqueeze(2)) & before

    def sees(sample: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (document[sample, query] == document[sample, key])

    return BlockMask.from_kv_blocks(
        *_listed(reached & ~whole),
        *_listed(whole),
        BLOCK_SIZE=BLOCK,
        mask_mod=sees,
        seq_lengths=(length, length),
    )


def _listed(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return how many blocks each row of (batch, rows, columns) has, and which, those first: (batch, 1, ...), int32."""
    count = blocks.sum(2, dtype=torch.int32).unsqueeze(1)
    which = blocks.to(torch.int8).argsort(dim=2, descending=True, stable=True).to(torch.int32).unsqueeze(1)
    return count, which.contiguous()


def _by_document(q: Tensor, k: Tensor, v: Tensor, spans: DocumentSpans) -> Tensor:
    batch, heads, length, size = q.shape
    # all samples in a row; split and not slices, as in the model
    queries, keys, values = (
        torch.split(x.transpose(0, 1).reshape(heads, batch * length, size), spans.sizes, dim=1)
        for x in (q, k, v)
    )
    mixed = [
        functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        for query, key, value in zip(queries, keys, values, strict=True)
    ]
    return torch.cat(mixed, dim=1).view(heads, batch, length, size).transpose(0, 1)


@functools.cache
def _flex() -> Any:
    """Return flex attention, compiled where it runs on a GPU: as plain torch it holds all pairs of positions."""
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False) if torch.cuda.is_available() else flex_attention


@functools.cache
def flex_compiles() -> bool:
    """Tell whether this GPU and this compiler have flex attention, by trying it once; the log says why not."""
    try:
        probe = torch.zeros(1, 1, BLOCK, 64, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        mask = block_mask(torch.zeros(1, BLOCK, dtype=torch.int64, device="cuda"), 0)
        torch.autograd.grad(attend(probe, probe, probe, mask).sum(), probe)
    except Exception as error:  # noqa: BLE001 - compilers fail in many ways, and each has the same remedy
        log.warning(
            "flex attention does not compile here, documents are kept apart by slower ways: %s", error
        )
        return False
    return True
