"""Weights taken apart for a model folder are put together again as they were."""

from __future__ import annotations

import torch

from daybreak_model.decoder.layers import layer_of
from daybreak_model.llama.sizes import Dimensions
from daybreak_model.llama.weights import to_transformers
from daybreak_train.model import Llama, ModelConfig, initialise

DIMENSIONS = Dimensions(hidden_size=48, layers=3, heads=4, key_value_heads=2, intermediate_size=96)


def test_a_layer_comes_back_as_it_was_trained() -> None:
    model = Llama(ModelConfig(DIMENSIONS, 512, 64))
    initialise(model, seed=3)
    own = model.state_dict()
    apart = to_transformers(own, DIMENSIONS)
    assert sum(weight.numel() for weight in apart.values()) == sum(weight.numel() for weight in own.values())
    for index in range(DIMENSIONS.layers):
        layer = layer_of(apart, index, is_gated=True)
        for field, name in {
            "attention_norm": "attention_norm",
            "qkv": "attention.qkv",
            "out": "attention.out",
            "feed_forward_norm": "feed_forward_norm",
            "up": "feed_forward.gate_up",
            "down": "feed_forward.down",
        }.items():
            assert torch.equal(getattr(layer, field).weight, own[f"layers.{index}.{name}.weight"]), (
                index,
                field,
            )
