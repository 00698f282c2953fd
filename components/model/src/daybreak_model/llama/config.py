"""``config.json`` of a ``LlamaForCausalLM``: written for a model of ours, read of any plain Llama.

Owns what a plain Llama is. Owns no tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_model.llama.sizes import INIT_STANDARD_DEVIATION, NORM_EPSILON, Dimensions, rope_theta

ARCHITECTURES = ["LlamaForCausalLM"]
OBJECTIVE_KEY = "daybreak_objective"
"""Key of ``config.json``: ``nextToken``, ``fillInTheMiddle`` or ``ul2``, as in the manifest."""


def llama_config(
    dims: Dimensions,
    vocabulary_size: int,
    context_length: int,
    token_ids: Mapping[str, int],
    dtype: str = "float32",
) -> dict[str, Any]:
    """Return the ``config.json`` of a model of these dimensions, its weights stored as ``dtype``; ``shape_of``
    reads it.
    """
    return {
        "architectures": ARCHITECTURES,
        "model_type": "llama",
        "vocab_size": vocabulary_size,
        "hidden_size": dims.hidden_size,
        "intermediate_size": dims.intermediate_size,
        "num_hidden_layers": dims.layers,
        "num_attention_heads": dims.heads,
        "num_key_value_heads": dims.key_value_heads,
        "head_dim": dims.head_size,
        "hidden_act": "silu",
        "max_position_embeddings": context_length,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": rope_theta(context_length),
        "rope_scaling": None,
        "attention_bias": False,
        "attention_dropout": 0.0,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "initializer_range": INIT_STANDARD_DEVIATION,
        "use_cache": True,
        "torch_dtype": dtype,
        "bos_token_id": token_ids[names.END_OF_TEXT],
        "eos_token_id": token_ids[names.END_OF_TEXT],
        "pad_token_id": token_ids[names.FIM_PAD],
    }


@dataclass(frozen=True)
class LlamaShape:
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


def shape_of(config: Mapping[str, Any]) -> LlamaShape:
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
    rotary = config.get("rope_parameters") or {}  # how transformers writes it since 5.0
    if rotary.get("rope_type", "default") != "default":
        raise UserError(f"config.json: rope_parameters={rotary!r} is not served on CPU, use TritonVLLM")
    heads = int(config["num_attention_heads"])
    return LlamaShape(
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        key_value_heads=int(config.get("num_key_value_heads") or heads),
        head_size=int(config.get("head_dim") or config["hidden_size"] // heads),
        vocabulary_size=int(config["vocab_size"]),
        context_length=int(config["max_position_embeddings"]),
        norm_epsilon=float(config["rms_norm_eps"]),
        rope_theta=float(rotary.get("rope_theta") or config.get("rope_theta") or 10_000.0),
        is_tied=bool(config.get("tie_word_embeddings", False)),
    )
