"""Attention of one new token over a key-value cache, without copying the cache for each group of heads.

Owns that one case; longer queries go to transformers' own function. With grouped heads and a mask, that one repeats
keys and values in memory at every step: for a small model on a processor a fifth of all time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

NAME = "daybreak_one_query"


def register() -> str:
    """Make the function known to transformers; return the name to ask for it by."""
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    def attend(
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        **options: Any,
    ) -> tuple[Tensor, None]:
        if query.shape[2] == 1:
            return one_query(query, key, value, attention_mask, options["scaling"]), None
        outcome: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return outcome

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME


def one_query(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float) -> Tensor:
    """Attend from (batch, heads, 1, size) to (batch, groups, length, size); returns (batch, 1, heads, size).

    ``mask`` (batch, 1, 1, length or more) is true where a key may be seen.
    """
    batch, heads, _, size = query.shape
    grouped = query.reshape(batch, key.shape[1], -1, size)
    weights = grouped @ key.transpose(2, 3) * scaling
    if mask is not None:
        weights = weights.masked_fill(~mask[..., : key.shape[2]], float("-inf"))
    attended: Tensor = weights.softmax(-1) @ value
    return attended.reshape(batch, 1, heads, size)
