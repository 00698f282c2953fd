"""``config.json`` of a model of ours, a plain Llama. It is read by `daybreak_model.decoder.shape`. Owns no tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daybreak_contracts import names
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
    """Return the ``config.json`` of a model of these dimensions, its weights stored as ``dtype``."""
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
