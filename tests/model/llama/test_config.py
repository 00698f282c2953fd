"""``config.json``: what is written for a model of ours is read back as the same shape."""

from __future__ import annotations

import pytest

from daybreak_contracts import names
from daybreak_model.llama.config import llama_config, shape_of
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
