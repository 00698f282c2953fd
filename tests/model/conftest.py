"""A small tokenizer and a model folder of a few thousand weights, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts import artifacts, names, storage
from daybreak_data.tokenizer.step import padded, train
from daybreak_model.llama.config import OBJECTIVE_KEY, llama_config
from daybreak_model.llama.sizes import Dimensions
from daybreak_model.llama.weights import to_transformers
from daybreak_model.repository_context import LAYOUT_KEY
from daybreak_model.vocabulary import special_ids
from daybreak_train.model import Llama, ModelConfig, initialise

CONTEXT_LENGTH = 256
DIMENSIONS = Dimensions(hidden_size=32, layers=2, heads=4, key_value_heads=2, intermediate_size=64)
TEXTS = (
    "def add(first, second):\n    return first + second\n",
    "class Point:\n    def __init__(self, x, y):\n        self.x = x\n        self.y = y\n",
    "f\u00fcr alle Gr\u00f6\u00dfen: na\u00efve caf\u00e9, \u6570\u636e, \U0001f642\n",
)


@pytest.fixture(scope="session")
def tokenizer_json() -> str:
    """The tokenizer step's own, of 512 tokens."""
    return padded(str(train(iter(TEXTS * 3), 480).to_str()))


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, tokenizer_json: str) -> Path:
    """A model that was trained to fill in the middle, as its config says."""
    return write_model(tmp_path_factory.mktemp("model"), tokenizer_json, "fillInTheMiddle")


def write_model(root: Path, tokenizer_json: str, objective: str, layout: str | None = None) -> Path:
    """Write an artifact of the export step with random weights."""
    from safetensors.torch import save_file

    staging = artifacts.staging_folder(str(root / "export"), str(root))
    model = Llama(ModelConfig(DIMENSIONS, 512, CONTEXT_LENGTH))
    initialise(model, seed=1)
    save_file(
        to_transformers(model.state_dict(), DIMENSIONS),
        staging / "model.safetensors",
        metadata={"format": "pt"},
    )
    config = llama_config(DIMENSIONS, 512, CONTEXT_LENGTH, special_ids(tokenizer_json))
    packed = {} if layout is None else {LAYOUT_KEY: layout}
    storage.write_json(str(staging / "config.json"), {**config, OBJECTIVE_KEY: objective, **packed})
    (staging / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    artifacts.commit(
        str(root / "export"), staging, step=names.STEP_EXPORT, digest="e" * 64, inputs={}, result={}
    )
    return root / "export"
