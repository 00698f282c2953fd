"""The arithmetic of the sizes agrees with the models that are built from them."""

from __future__ import annotations

import pytest
import torch

from daybreak_contracts.resources.run import CustomModel, Model
from daybreak_model.llama import sizes
from daybreak_train.model import Llama, ModelConfig


@pytest.mark.parametrize("name", sizes.SIZES)
def test_the_formula_counts_what_is_built(name: str) -> None:
    dims = sizes.SIZES[name]
    with torch.device("meta"):
        model = Llama(ModelConfig(dims, 8192, 512))
    assert sizes.num_parameters(dims, 8192) == sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize(
    ("name", "vocabulary_size", "expected"),
    [
        pytest.param("1m", 4096, 1_311_872, id="1m-with-4096-tokens"),
        pytest.param("1m", 8192, 1_836_160, id="1m-with-8192-tokens"),
        pytest.param("125m", 32768, 100_682_496, id="125m-is-about-0.10-billion"),
        pytest.param("350m", 32768, 304_137_216, id="350m-is-0.304-billion"),
        pytest.param("1b", 32768, 1_059_153_920, id="1b-is-1.06-billion"),
        pytest.param("3b", 32768, 2_286_062_080, id="3b-is-2.29-billion"),
        pytest.param("7b", 32768, 7_113_805_824, id="7b-is-7.11-billion"),
    ],
)
def test_sizes_have_the_designs_parameter_counts(name: str, vocabulary_size: int, expected: int) -> None:
    assert sizes.num_parameters(sizes.SIZES[name], vocabulary_size) == expected


@pytest.mark.parametrize(
    ("name", "giga_flops"),
    [("125m", 0.83), ("350m", 2.43), ("1b", 7.46), ("3b", 15.7)],
)
def test_flops_follow_the_stated_convention(name: str, giga_flops: float) -> None:
    # docs/thresholds.md, context 2048 and 32,768 tokens: (6 N + 12 L d T)
    flops = sizes.flops_per_token(sizes.SIZES[name], 32768, 2048)
    assert flops / 1e9 == pytest.approx(giga_flops, rel=0.01)


def test_custom_dimensions_are_taken_as_they_are() -> None:
    custom = CustomModel(hidden_size=48, layers=3, heads=4, key_value_heads=2, intermediate_size=96)
    assert sizes.dimensions_of(Model(custom=custom)) == sizes.Dimensions(48, 3, 4, 2, 96)


def test_long_contexts_turn_slower() -> None:
    assert (sizes.rope_theta(4096), sizes.rope_theta(8192)) == (1e4, 1e6)
