"""Weights of a trained model under transformers' names, as a model folder has them. Needs torch. Writes no file.

They are read by `daybreak_model.decoder.layers`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from daybreak_model.llama.sizes import Dimensions


def to_transformers(own: Mapping[str, Tensor], dims: Dimensions) -> dict[str, Tensor]:
    """Return the weights of a trained model under transformers' names: the fused matrices taken apart again."""
    query, shared = dims.hidden_size, dims.key_value_heads * dims.head_size
    out = {"model.embed_tokens.weight": own["embedding.weight"], "model.norm.weight": own["norm.weight"]}
    for index in range(dims.layers):
        here, there = f"layers.{index}.", f"model.layers.{index}."
        q, k, v = torch.split(own[here + "attention.qkv.weight"], [query, shared, shared])
        gate, up = own[here + "feed_forward.gate_up.weight"].chunk(2)
        parts = {
            "self_attn.q_proj": q,
            "self_attn.k_proj": k,
            "self_attn.v_proj": v,
            "self_attn.o_proj": own[here + "attention.out.weight"],
            "mlp.gate_proj": gate,
            "mlp.up_proj": up,
            "mlp.down_proj": own[here + "feed_forward.down.weight"],
            "input_layernorm": own[here + "attention_norm.weight"],
            "post_attention_layernorm": own[here + "feed_forward_norm.weight"],
        }
        out.update({f"{there}{name}.weight": value for name, value in parts.items()})
    return {name: value.detach().clone().contiguous() for name, value in out.items()}
