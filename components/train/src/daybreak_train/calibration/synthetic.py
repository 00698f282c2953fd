"""Shards and a tokenizer of made-up text, of any vocabulary and length: what a calibration trains on.

Owns their making. They have the shape of real ones, so that the real reader, objective and loop go over them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from daybreak_contracts import artifacts, names
from daybreak_contracts.steps import ShardResult, TokenizerResult
from daybreak_train.lean_imports import import_streaming

LETTERS = "etaoinshrdlucmfwypvbgkjqxzETAOINSHRDLUCMFWYPVBGKJQXZ"
DOCUMENT_TOKENS = 400
DIGEST = "0" * 64


def make_tokenizer(folder: Path, vocabulary_size: int) -> str:
    """Return the URI of a byte-level BPE of so many tokens: strings of letters, one merge each."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    words = [*names.SPECIAL_TOKENS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges: list[tuple[str, str]] = []
    for first, last in itertools.islice(_pairs(), max(0, vocabulary_size - len(words))):
        merges.append((first, last))
        words.append(first + last)
    tokenizer = Tokenizer(
        models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=merges)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(names.SPECIAL_TOKENS))
    staging = folder / "tokenizer-staging"
    staging.mkdir(parents=True)
    tokenizer.save(str(staging / "tokenizer.json"))
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": names.END_OF_TEXT}
    (staging / "tokenizer_config.json").write_text(json.dumps(described))
    uri = str(folder / "tokenizer")
    result = TokenizerResult(uri=uri, digest=DIGEST, vocabulary_size=len(words), bytes_per_token={})
    artifacts.commit(
        uri,
        staging,
        step=names.STEP_TOKENIZER,
        digest=DIGEST,
        inputs={},
        result=result.model_dump(mode="json"),
    )
    return uri


def _pairs() -> Iterator[tuple[str, str]]:
    """Yield merges in an order in which both halves are known before they are needed."""
    known = list(LETTERS)
    while True:
        longer = []
        for word, letter in itertools.product(known, LETTERS):
            longer.append(word + letter)
            yield word, letter
        known = longer


def make_shards(folder: Path, vocabulary_size: int, context_length: int, samples: int) -> str:
    """Return the URI of so many samples of random tokens to train on, and one that is held out."""
    dtype = np.uint16 if vocabulary_size <= 1 << 16 else np.uint32
    draw = np.random.default_rng(0)
    first = len(names.SPECIAL_TOKENS) + 256
    lowest = first if first < vocabulary_size else len(names.SPECIAL_TOKENS)
    rows = draw.integers(lowest, vocabulary_size, (samples + 1, context_length)).astype(dtype)
    rows[:, DOCUMENT_TOKENS::DOCUMENT_TOKENS] = names.SPECIAL_TOKENS.index(names.END_OF_TEXT)
    staging = folder / "shards-staging"
    for name, part in {"train": rows[1:], "held_out": rows[:1]}.items():
        columns = {"tokens": f"ndarray:{np.dtype(dtype).name}"}
        with import_streaming().MDSWriter(out=str(staging / name), columns=columns) as writer:
            for row in part:
                writer.write({"tokens": row})
    uri = str(folder / "shards")
    result = ShardResult(
        uri=uri,
        digest=DIGEST,
        dtype=np.dtype(dtype).name,
        num_train_tokens=samples * context_length,
        num_held_out_tokens=context_length,
        num_train_samples=samples,
        num_held_out_samples=1,
    )
    artifacts.commit(
        uri, staging, step=names.STEP_SHARDS, digest=DIGEST, inputs={}, result=result.model_dump(mode="json")
    )
    return uri
