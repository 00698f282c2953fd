"""A tiny model that vLLM computes, and whether vLLM is here: `make setup-vllm` installs it, `make setup` does not.

Tests that need it run in `make test` where its environment was made and are skipped with that reason elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from daybreak_contracts.errors import UserError
from daybreak_model.vocabulary import token_bytes
from daybreak_serve.engine.decoder import DecoderModel
from daybreak_serve.engine.installation import find_installation
from daybreak_serve.modelfolder import ModelFolder, open_model
from tests.serve.conftest import export

SHAPE = {
    "num_attention_heads": 2,
    "num_key_value_heads": 1,  # heads of 32 numbers: on a processor vLLM computes none of fewer
    "rope_parameters": {
        "rope_type": "default",
        "rope_theta": 500_000.0,
    },  # not what transformers 4 takes of itself
}
Greedy = Callable[[list[int], int], tuple[list[int], str]]


@pytest.fixture(scope="session")
def vllm_is_here() -> None:
    try:
        find_installation("TritonVLLM")
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def vllm_model_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return export(tmp_path_factory.mktemp("vllm-export"), **SHAPE)


@pytest.fixture(scope="session")
def vllm_model(vllm_model_uri: str, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return open_model(vllm_model_uri, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def own_greedy(vllm_model: ModelFolder) -> Greedy:
    """What our own engine, TritonPython's, answers: tokens and text of a greedy completion."""
    model = DecoderModel(vllm_model.path, num_threads=1, kept_caches=1)
    table = token_bytes((vllm_model.path / "tokenizer.json").read_text(), special_as_text=False)

    def greedy(prompt_ids: list[int], max_tokens: int) -> tuple[list[int], str]:
        cache, fed = model.start(prompt_ids)
        logits, found = model.advance(cache, prompt_ids[fed:]), []
        while len(found) < max_tokens and not set(found[-1:]) & vllm_model.end_ids:
            found.append(int(np.argmax(logits)))
            logits = model.advance(cache, found[-1:])
        ended = found[:-1] if found[-1] in vllm_model.end_ids else found
        return found, b"".join(table[token] for token in ended).decode(errors="replace")

    return greedy
