"""A tiny model, its tokenizer and shards, made once."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import artifacts, names

CODE = "".join(
    f"def function_{number}(first, second):\n    total = first + second * {number}\n"
    f"    if total > {number * 7}:\n        return total\n    return function_{number}(second, first)\n\n\n"
    for number in range(40)
)


def make_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=list(names.SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([CODE], trainer)
    return tokenizer


def commit(folder: Path, staging: Path, step: str) -> str:
    artifacts.commit(str(folder), staging, step=step, digest=step[0] * 64, inputs={}, result={})
    return str(folder)


@pytest.fixture(scope="session")
def model_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An export artifact: a Llama of 60,000 parameters that knows nothing."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    root = tmp_path_factory.mktemp("model")
    tokenizer = make_tokenizer()
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=640,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
    )
    staging = artifacts.staging_folder(str(root / "export"), str(root))
    LlamaForCausalLM(config).save_pretrained(staging)
    tokenizer.save(str(staging / "tokenizer.json"))
    return commit(root / "export", staging, "export")


@pytest.fixture(scope="session")
def shards_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A shards artifact whose held-out part has two shards, written by mosaicml-streaming itself."""
    import numpy as np

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from streaming import MDSWriter

    root = tmp_path_factory.mktemp("shards")
    tokenizer = make_tokenizer()
    end, pad = tokenizer.token_to_id(names.END_OF_TEXT), tokenizer.token_to_id(names.FIM_PAD)
    tokens = [*tokenizer.encode(CODE).ids, end, *tokenizer.encode("x = 1\n").ids, end]
    tokens += [pad] * (-len(tokens) % 512)
    staging = artifacts.staging_folder(str(root / "shards"), str(root))
    columns = {"tokens": "ndarray:uint16"}
    with MDSWriter(out=str(staging / "held_out"), columns=columns, size_limit=2400) as writer:
        for start in range(0, len(tokens), 512):
            writer.write({"tokens": np.array(tokens[start : start + 512], np.uint16)})
    return commit(root / "shards", staging, "shards")
