"""Our forward pass beside transformers', for a small model of each family, in pieces and together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daybreak_serve.engine.decoder import DecoderModel
from tests.serve.families import BASE_FAMILIES, Reference, write_base

LENGTH = 90


@pytest.fixture(scope="module", params=BASE_FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base")
    write_base(path, BASE_FAMILIES[request.param])
    assert (path / "model.safetensors.index.json").is_file()
    return path


@pytest.mark.slow
def test_the_logits_are_those_of_transformers(folder: Path) -> None:
    import torch

    ids = [(7 * index) % 297 for index in range(LENGTH)]
    with torch.inference_mode():
        expected = Reference.of(folder).model(torch.tensor([ids])).logits[0].numpy()
    model = DecoderModel(folder, num_threads=1)
    for piece in (1, 7, 60):
        cache, _ = model.start(ids[:1])
        for begin in range(0, LENGTH, piece):
            logits = model.advance(cache, ids[begin : begin + piece])
            end = min(begin + piece, LENGTH)
            np.testing.assert_allclose(
                logits, expected[end - 1], rtol=1e-3, atol=2e-3, err_msg=f"{piece}, {end}"
            )


def test_together_they_are_the_same_to_the_bit(folder: Path) -> None:
    model, random = DecoderModel(folder, num_threads=1), np.random.default_rng(5)
    prompts = [random.integers(5, 297, size).tolist() for size in (3, 40, 61)]
    together, alone = ([model.start(prompt)[0] for prompt in prompts] for _ in range(2))
    for cache, prompt in zip([*together, *alone], prompts * 2, strict=True):
        model.advance(cache, prompt)
    for tokens in random.integers(5, 297, (10, 3)).tolist():
        expected = [model.advance(cache, [token]) for cache, token in zip(alone, tokens, strict=True)]
        assert np.array_equal(model.advance_together(together, tokens), np.stack(expected))
