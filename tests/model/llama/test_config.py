"""``config.json``: what is written for a model of ours is read back as the same shape."""

from __future__ import annotations

import pytest

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_model.decoder.shape import RotaryScaling, shape_of
from daybreak_model.llama.config import llama_config
from daybreak_model.llama.sizes import SIZES

IDS = {names.END_OF_TEXT: 0, names.FIM_PAD: 4}


@pytest.mark.parametrize("context_length", [512, 8192])
@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_read_back(size: str, context_length: int) -> None:
    dims = SIZES[size]
    shape = shape_of(llama_config(dims, 32768, context_length, IDS))
    assert (shape.layers, shape.heads, shape.key_value_heads) == (
        dims.layers,
        dims.heads,
        dims.key_value_heads,
    )
    assert (shape.head_size, shape.vocabulary_size, shape.context_length) == (
        dims.head_size,
        32768,
        context_length,
    )
    assert (shape.norm_epsilon, shape.is_tied) == (1e-5, True)
    assert shape.rope_theta == (1e4 if context_length <= 4096 else 1e6)


def written_by_transformers_5(**rotary: object) -> dict[str, object]:
    config = llama_config(SIZES["1m"], 4096, 512, IDS)
    del config["rope_theta"], config["rope_scaling"]
    return {**config, "rope_parameters": {"rope_type": "default", **rotary}}


def test_the_rotary_base_is_read_where_transformers_5_writes_it() -> None:
    assert shape_of(written_by_transformers_5(rope_theta=500.0)).rope_theta == 500.0
    assert shape_of(written_by_transformers_5()).rope_theta == 1e4, (
        "what transformers takes when none is said"
    )


def test_scaled_rotary_tables_are_read_in_both_spellings() -> None:
    llama3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    found = shape_of(
        written_by_transformers_5(rope_type="llama3", original_max_position_embeddings=64, **llama3)
    )
    assert found.rotary == RotaryScaling(8.0, 1.0, 4.0, 64.0)
    config = {**llama_config(SIZES["1m"], 4096, 512, IDS), "rope_scaling": {"type": "linear", "factor": 2.0}}
    assert shape_of(config).rotary == RotaryScaling(2.0)


@pytest.mark.parametrize(
    "rotary",
    [
        pytest.param({"rope_type": "longrope", "factor": 4.0}, id="not computed"),
        pytest.param({"rope_type": "dynamic", "factor": 4.0}, id="changes with the length"),
        pytest.param({"rope_type": "yarn"}, id="YaRN without a factor"),
        pytest.param({"rope_type": "linear"}, id="no factor"),
        pytest.param({"rope_type": "llama3", "factor": 8.0}, id="half of what it needs"),
    ],
)
def test_other_rotary_tables_are_refused_by_name(rotary: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"rope_parameters.*TritonVLLM"):
        shape_of(written_by_transformers_5(**rotary))


YARN = [
    pytest.param({}, id="bare"),
    pytest.param({"beta_fast": 8.0, "beta_slow": 2.0}, id="other bounds"),
    pytest.param({"attention_factor": 0.7}, id="a magnitude of its own"),
    pytest.param({"mscale": 0.9, "mscale_all_dim": 0.4}, id="DeepSeek's magnitudes"),
    pytest.param({"truncate": False}, id="bounds between dimensions"),
    pytest.param({"factor": 1.0}, id="no stretch"),
]


@pytest.mark.parametrize("more", YARN)
def test_yarns_table_is_that_of_transformers(more: dict[str, object]) -> None:
    import torch
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    from daybreak_model.decoder.layers import rotary_turns

    rotary = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, **more}
    config = written_by_transformers_5(rope_theta=10_000.0, **rotary)
    frequencies, magnitude = ROPE_INIT_FUNCTIONS["yarn"](LlamaConfig(**config), "cpu")
    angles = torch.outer(torch.arange(512).float(), frequencies)
    expected = torch.polar(torch.full_like(angles, magnitude), angles)
    torch.testing.assert_close(rotary_turns(shape_of(config)), expected, rtol=1e-5, atol=1e-5)
