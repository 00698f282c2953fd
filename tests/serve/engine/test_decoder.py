"""Our forward pass beside transformers': the same logits, in pieces and from kept caches too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daybreak_contracts.errors import UserError
from daybreak_model.decoder.shape import shape_of
from daybreak_serve.engine.decoder import DecoderModel
from daybreak_serve.modelfolder import ModelFolder

CONFIG = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 64,
    "vocab_size": 100,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
}


def logits_of_transformers(folder: Path, ids: list[int]) -> np.ndarray:
    import torch
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].numpy()


@pytest.fixture(scope="module", params=["tied, grouped", "not tied, wide heads"])
def folder(
    request: pytest.FixtureRequest, model: ModelFolder, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    if request.param.startswith("tied"):
        return model.path
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    config = LlamaConfig(
        **{**CONFIG, "num_key_value_heads": 4, "head_dim": 24, "intermediate_size": 96},
        tie_word_embeddings=False,
        rope_theta=500.0,
        initializer_range=0.3,
    )
    path = tmp_path_factory.mktemp("wide")
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path, safe_serialization=True)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("piece", [1, 7, 60], ids=lambda piece: f"{piece} tokens a time")
def test_the_logits_are_those_of_transformers(folder: Path, piece: int) -> None:
    ids = [(7 * index) % 97 for index in range(60)]
    expected = logits_of_transformers(folder, ids)
    model = DecoderModel(folder, num_threads=1)
    cache, fed = model.start(ids)
    assert fed == 0
    for begin in range(0, 60, piece):
        logits = model.advance(cache, ids[begin : begin + piece])
        end = min(begin + piece, 60)
        assert np.allclose(logits, expected[end - 1], atol=2e-4), f"after token {end}"


@pytest.mark.slow
@pytest.mark.parametrize("sharing", [2, 3, 8, 17], ids=lambda sharing: f"{sharing} requests")
def test_whoever_is_computed_beside_it_a_request_has_the_same_logits_to_the_bit(
    folder: Path, sharing: int
) -> None:
    model, random = DecoderModel(folder, num_threads=1), np.random.default_rng(sharing)
    prompts = [random.integers(5, 97, size).tolist() for size in random.integers(1, 60, sharing)]
    answers = random.integers(5, 97, (20, sharing)).tolist()

    def begun() -> list[Any]:
        caches = [model.start(prompt)[0] for prompt in prompts]
        for cache, prompt in zip(caches, prompts, strict=True):
            model.advance(cache, prompt)
        return caches

    together, alone = begun(), begun()
    for tokens in answers:
        expected = [model.advance(cache, [token]) for cache, token in zip(alone, tokens, strict=True)]
        assert np.array_equal(model.advance_together(together, tokens), np.stack(expected))


@pytest.mark.slow
def test_a_kept_cache_gives_what_a_new_one_gives(model: ModelFolder) -> None:
    llama = DecoderModel(model.path, num_threads=1)
    first, second = list(range(120, 160)), [*range(120, 150), *range(200, 210)]
    cache, _ = llama.start(first)
    llama.advance(cache, first)
    llama.release(cache, first)
    cache, fed = llama.start(second)
    assert fed == 30
    logits = llama.advance(cache, second[fed:])
    assert np.allclose(logits, logits_of_transformers(model.path, second)[-1], atol=2e-4)


def test_a_prompt_asked_again_feeds_its_last_token_only(model: ModelFolder) -> None:
    llama = DecoderModel(model.path, num_threads=1)
    ids = list(range(120, 160))
    for expected in (0, 39):
        cache, fed = llama.start(ids)
        assert fed == expected
        llama.advance(cache, ids[fed:])
        llama.release(cache, ids)


def test_caches_are_kept_up_to_a_number_and_broken_ones_not_at_all(model: ModelFolder) -> None:
    llama = DecoderModel(model.path, num_threads=1, kept_caches=1)
    for start in (120, 200):
        ids = list(range(start, start + 30))
        cache, _ = llama.start(ids)
        llama.advance(cache, ids)
        llama.release(cache, ids)
    assert llama.start(list(range(120, 150)))[1] == 0
    cache, fed = llama.start(list(range(200, 230)))
    assert fed == 29
    llama.release(cache, [1, 2, 3])  # says something else than was fed
    assert llama.start([1, 2, 3])[1] == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"rope_scaling": {"type": "dynamic"}}, "rope_scaling", id="positions scaled as it runs"),
        pytest.param({"hidden_act": "relu"}, "hidden_act", id="another activation"),
        pytest.param({"architectures": ["Qwen3MoeForCausalLM"]}, "Qwen3Moe.*TritonVLLM", id="another family"),
        pytest.param({"quantization_config": {"quant_method": "gptq"}}, "gptq", id="quantized"),
        pytest.param({"partial_rotary_factor": 0.25}, "partial_rotary", id="a part is turned"),
    ],
)
def test_what_is_not_computed_is_refused(change: dict[str, Any], reason: str) -> None:
    assert shape_of(CONFIG).key_value_heads == 4
    with pytest.raises(UserError, match=reason):
        shape_of({**CONFIG, **change})
