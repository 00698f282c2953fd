"""What a ``config.json`` says of a decoder that our own engine computes: Llama, Qwen2, Mistral, StarCoder2.

They differ in a few traits (which norm, a gated feed-forward or not, biases, windows, scaled positions), so one engine
computes them all. Owns which configs are taken and the sentence for each other one. Owns no tensor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from daybreak_contracts.errors import UserError

WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
"""Beside ``config.json``: one file, or several with a list of what lies in which."""
NormKind = Literal["rms", "layer"]
Activation = Literal["silu", "gelu", "gelu_pytorch_tanh"]
ACTIVATIONS: Mapping[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_pytorch_tanh",
}
ELSEWHERE = "use TritonVLLM"
"""The remedy for what our own engine does not compute."""


@dataclass(frozen=True)
class ArchitectureTraits:
    """What an architecture is whatever its config says, and what holds where a config is silent."""

    norm: NormKind = "rms"
    is_gated: bool = True
    epsilon_key: str = "rms_norm_eps"
    default_epsilon: float = 1e-6
    default_activation: str = "silu"
    is_tied_by_default: bool = False
    has_windows: bool = False


ARCHITECTURES: Mapping[str, ArchitectureTraits] = {
    "LlamaForCausalLM": ArchitectureTraits(),  # also DeepSeek-Coder, CodeLlama, Granite and Yi-Coder
    "MistralForCausalLM": ArchitectureTraits(has_windows=True),
    "Qwen2ForCausalLM": ArchitectureTraits(has_windows=True),
    "Starcoder2ForCausalLM": ArchitectureTraits(
        norm="layer",
        is_gated=False,
        epsilon_key="norm_epsilon",
        default_epsilon=1e-5,
        default_activation="gelu_pytorch_tanh",
        is_tied_by_default=True,
        has_windows=True,
    ),
}
"""By the name in ``architectures``. Whether a matrix has a bias is seen from the weights."""


@dataclass(frozen=True)
class RotaryScaling:
    """How rotary frequencies are made slower for a longer context: all by a factor, or as Llama 3.1 does it."""

    factor: float
    low: float | None = None
    """Waves in the original context below which the factor holds in full; None: it holds for all."""
    high: float = 0.0
    """Waves from which on none holds."""
    original_context: float = 0.0


@dataclass(frozen=True)
class YarnScaling:
    """How YaRN (Peng et al. 2023) stretches a context: slow waves by the factor, fast ones not, all a little louder."""

    factor: float
    original_context: float
    fast: float = 32.0
    """Turns in the original context from which on a wave stays as it is."""
    slow: float = 1.0
    """Turns below which the factor holds in full."""
    magnitude: float = 1.0
    """Of queries and keys."""
    is_whole: bool = True
    """Whether the bounds between fast and slow are whole numbers of a dimension."""


ROTARY_KEYS: Mapping[str, tuple[str, ...]] = {
    "linear": ("factor",),
    "yarn": ("factor", "original_max_position_embeddings"),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}


@dataclass(frozen=True)
class DecoderShape:
    """What our engine must know of a model besides its weights."""

    layers: int
    heads: int
    key_value_heads: int
    head_size: int
    vocabulary_size: int
    context_length: int
    norm: NormKind
    norm_epsilon: float
    is_gated: bool
    activation: Activation
    is_tied: bool
    windows: tuple[int | None, ...]
    """By layer, how many tokens a token sees, itself counted; None: all before it."""
    rope_theta: float
    """Base of the rotary frequencies (Su et al. 2021)."""
    rotary: RotaryScaling | YarnScaling | None


def shape_of(config: Mapping[str, Any]) -> DecoderShape:
    """Return the shape of a decoder; a config that asks for more than is computed is a UserError that names the key."""
    traits = traits_of(config)
    refuse_foreign(config)
    heads = int(config["num_attention_heads"])
    head_size = int(config.get("head_dim") or config["hidden_size"] // heads)
    theta, rotary = _rotary(config)
    asked = config.get("hidden_act") or traits.default_activation
    if asked not in ACTIVATIONS:
        raise _refused("hidden_act", asked)
    return DecoderShape(
        layers=int(config["num_hidden_layers"]),
        heads=heads,
        key_value_heads=int(config.get("num_key_value_heads") or heads),
        head_size=head_size,
        vocabulary_size=int(config["vocab_size"]),
        context_length=int(config["max_position_embeddings"]),
        norm=traits.norm,
        norm_epsilon=float(config.get(traits.epsilon_key, traits.default_epsilon)),
        is_gated=traits.is_gated,
        activation=ACTIVATIONS[asked],
        is_tied=bool(config.get("tie_word_embeddings", traits.is_tied_by_default)),
        windows=_windows(config, traits),
        rope_theta=theta,
        rotary=rotary,
    )


def traits_of(config: Mapping[str, Any]) -> ArchitectureTraits:
    """Return the traits of a config's architecture; one that is not computed is a UserError."""
    found = config.get("architectures") or ["LlamaForCausalLM"]
    if len(found) != 1 or found[0] not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UserError(
            f"config.json: architectures {found} is not served by TritonPython, which takes {known}: {ELSEWHERE}"
        )
    return ARCHITECTURES[found[0]]


def refuse_foreign(config: Mapping[str, Any]) -> None:
    """Refuse weights that are not plain numbers, and traits that some Llamas have and none of these families."""
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "unknown")
        raise UserError(
            f"config.json: quantization_config ({method}) is not served by TritonPython: "
            f"take the model's weights in bfloat16, or {ELSEWHERE}"
        )
    if config.get("partial_rotary_factor", 1.0) not in (None, 1, 1.0):
        raise _refused("partial_rotary_factor", config["partial_rotary_factor"])


def _windows(config: Mapping[str, Any], traits: ArchitectureTraits) -> tuple[int | None, ...]:
    """Return the window of each layer, as transformers reads it of these families."""
    layers, window = int(config["num_hidden_layers"]), config.get("sliding_window")
    is_qwen = "use_sliding_window" in config or "max_window_layers" in config
    if not traits.has_windows or not window or (is_qwen and not config.get("use_sliding_window")):
        return (None,) * layers
    kinds = config.get("layer_types")
    if kinds is None:
        first = int(config.get("max_window_layers", 0)) if is_qwen else 0
        kinds = ["sliding_attention" if index >= first else "full_attention" for index in range(layers)]
    return tuple(int(window) if kind == "sliding_attention" else None for kind in kinds)


def _rotary(config: Mapping[str, Any]) -> tuple[float, RotaryScaling | YarnScaling | None]:
    """Return the base of the rotary frequencies and how they are scaled, wherever the config's time wrote it."""
    rotary = (
        config.get("rope_parameters") or config.get("rope_scaling") or {}
    )  # the former since transformers 5
    kind = rotary.get("rope_type") or rotary.get("type") or "default"
    base = float(rotary.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    if kind == "default":
        return base, None
    key = "rope_parameters" if config.get("rope_parameters") else "rope_scaling"
    if kind == "yarn" and "original_max_position_embeddings" not in rotary:  # as transformers reads it
        rotary = {**rotary, "original_max_position_embeddings": config.get("max_position_embeddings")}
    keys = ROTARY_KEYS.get(kind)
    if keys is None or any(not isinstance(rotary.get(name), int | float) for name in keys):
        raise _refused(key, dict(rotary))
    if kind == "yarn":
        return base, _yarn(rotary)
    return base, RotaryScaling(*(float(rotary[name]) for name in keys))


def _yarn(rotary: Mapping[str, Any]) -> YarnScaling:
    factor = float(rotary["factor"])
    magnitude = rotary.get("attention_factor")
    if magnitude is None:
        one, other = rotary.get("mscale"), rotary.get("mscale_all_dim")
        magnitude = _louder(factor, one) / _louder(factor, other) if one and other else _louder(factor, 1.0)
    return YarnScaling(
        factor=factor,
        original_context=float(rotary["original_max_position_embeddings"]),
        fast=float(rotary.get("beta_fast") or 32.0),
        slow=float(rotary.get("beta_slow") or 1.0),
        magnitude=float(magnitude),
        is_whole=bool(rotary.get("truncate", True)),
    )


def _louder(factor: float, share: float) -> float:
    return 0.1 * share * math.log(factor) + 1.0 if factor > 1 else 1.0


def _refused(key: str, value: Any) -> UserError:
    return UserError(f"config.json: {key}={value!r} is not served by TritonPython, {ELSEWHERE}")
