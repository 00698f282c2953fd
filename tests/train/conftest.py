"""A small tokenizer and a small shard artifact, made the way the data steps make theirs."""

from __future__ import annotations

import inspect
import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from daybreak_contracts import artifacts, names
from daybreak_contracts.resources.run import CustomModel, Model, Objective, Training
from daybreak_contracts.steps import ShardResult, TokenizerResult, TrainArgs

CONTEXT = 64
TINY = CustomModel(hidden_size=32, layers=2, heads=2, key_value_heads=1, intermediate_size=64)


def some_code() -> list[str]:
    """Real source code that is everywhere: modules of the standard library."""
    modules = (textwrap, inspect, json, artifacts)
    return [Path(str(module.__file__)).read_text() for module in modules]


def make_tokenizer(vocabulary_size: int = 512) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(names.SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(some_code(), trainer)
    return tokenizer


def make_tokenizer_artifact(folder: Path, tokenizer: Tokenizer) -> str:
    staging = folder / "tokenizer-staging"
    staging.mkdir(parents=True)
    tokenizer.save(str(staging / "tokenizer.json"))
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": names.END_OF_TEXT}
    (staging / "tokenizer_config.json").write_text(json.dumps(described))
    uri, digest = str(folder / "tokenizer"), "a" * 64
    result = TokenizerResult(uri=uri, digest=digest, vocabulary_size=tokenizer.get_vocab_size(), bytes_per_token={})
    artifacts.commit(
        uri, staging, step=names.STEP_TOKENIZER, digest=digest, inputs={}, result=result.model_dump(mode="json")
    )
    return uri


def make_shards_artifact(folder: Path, tokenizer: Tokenizer, context: int = CONTEXT) -> str:
    from daybreak_train.lean_imports import import_streaming

    staging = folder / "shards-staging"
    end = tokenizer.token_to_id(names.END_OF_TEXT)
    tokens = [token for text in some_code() for token in [*tokenizer.encode(text).ids, end]]
    count = len(tokens) // context
    rows = np.array(tokens[: count * context], dtype=np.uint16).reshape(count, context)
    rows = np.concatenate([rows, np.full((1, context), tokenizer.token_to_id(names.FIM_PAD), dtype=np.uint16)])
    rows[-1, :5] = tokens[-5:]
    parts = {"train": rows[16:], "held_out": rows[:16]}
    for name, part in parts.items():
        columns = {"tokens": "ndarray:uint16"}
        with import_streaming().MDSWriter(out=str(staging / name), columns=columns, size_limit=1 << 14) as writer:
            for row in part:
                writer.write({"tokens": row})
    uri, digest = str(folder / "shards"), "b" * 64
    result = ShardResult(
        uri=uri,
        digest=digest,
        dtype="uint16",
        num_train_tokens=parts["train"].size,
        num_held_out_tokens=parts["held_out"].size,
        num_train_samples=len(parts["train"]),
        num_held_out_samples=len(parts["held_out"]),
    )
    artifacts.commit(
        uri, staging, step=names.STEP_SHARDS, digest=digest, inputs={}, result=result.model_dump(mode="json")
    )
    return uri


@dataclass(frozen=True)
class Made:
    """Inputs of a training."""

    tokenizer: str
    shards: str

    def args(self, folder: Path, *, tokens: int = 64 * 64 * 12, **changes: Any) -> TrainArgs:
        """Arguments of a training of some steps on a tiny model; ``training`` overrides parts of Training."""
        training = {"context_length": CONTEXT, "tokens": tokens, **changes.pop("training", {})}
        defaults: dict[str, Any] = {
            "output": str(folder / "out"),
            "work_dir": str(folder / "work"),
            "shards": self.shards,
            "tokenizer": self.tokenizer,
            "model": Model(custom=TINY),
            "training": Training(**training),
            "run_name": "test",
            "seed": 3,
            "cores": 1,
        }
        return TrainArgs(**{**defaults, **changes})


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return make_tokenizer()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("inputs")
    fresh = make_tokenizer()
    return Made(make_tokenizer_artifact(folder, fresh), make_shards_artifact(folder, fresh))


HALF_IN_THE_MIDDLE = Objective.model_validate({"fillInTheMiddle": {"rate": "0.5", "spmShare": "0.5"}})
