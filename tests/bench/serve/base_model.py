"""A base model of Qwen2.5-Coder-0.5B's shape in our own engine, beside transformers: start, pace, the same tokens.

Weights are random: what is measured does not depend on them. One thread, processor time.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.row import Row

os.environ.setdefault("HF_HUB_OFFLINE", "1")
SHAPE = {
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "tie_word_embeddings": True,
}
PROMPT, NEW, STREAMS, TURNS = 200, 48, 8, 16


def measure() -> list[Row]:
    """Return the start's seconds and tokens for a second of processor time, and how many tokens are the same."""
    import torch
    import transformers

    torch.set_num_threads(1)
    ids = [(7 * index) % 300 + 5 for index in range(PROMPT)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = transformers.Qwen2Config(**SHAPE, bos_token_id=0, eos_token_id=0)
        torch.manual_seed(0)
        model = transformers.Qwen2ForCausalLM(config).to(torch.bfloat16)
        model.save_pretrained(folder, max_shard_size="500MB")
        del model
        load_s, prompt, alone, together, tokens = _ours(folder, ids)
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        peer, expected = _transformers(theirs, ids)
    who = f"transformers, generate {transformers.__version__}"
    same = sum(one == other for one, other in zip(tokens, expected, strict=True))
    pace = "tokens/s"
    return [
        Row("start: bfloat16 files to an engine in float32", load_s, "s", ""),
        Row("prompt tokens for a second of processor time", prompt, pace, ""),
        Row("new tokens for a second of processor time, 1 stream", alone, pace, "", who, peer),
        Row(f"new tokens for a second of processor time, {STREAMS} streams", together, pace, ""),
        Row(f"new tokens the same as transformers', of {NEW}", same, "", str(NEW)),
    ]


def _ours(folder: Path, ids: list[int]) -> tuple[float, float, float, float, list[int]]:
    from daybreak_serve.engine.decoder import DecoderModel

    began = time.perf_counter()
    model = DecoderModel(folder, num_threads=1)
    load_s = time.perf_counter() - began
    cache, _ = model.start(ids)
    began = time.process_time()
    logits = model.advance(cache, ids)
    prompt = len(ids) / (time.process_time() - began)
    tokens = [int(logits.argmax())]
    began = time.process_time()
    while len(tokens) < NEW:
        tokens.append(int(model.advance_together([cache], [tokens[-1]])[0].argmax()))
    alone = (NEW - 1) / (time.process_time() - began)
    caches = [model.start(ids[first:])[0] for first in range(STREAMS)]
    for first, one in enumerate(caches):
        model.advance(one, ids[first:])
    began = time.process_time()
    for _ in range(TURNS):
        model.advance_together(caches, [7] * STREAMS)
    return load_s, prompt, alone, STREAMS * TURNS / (time.process_time() - began), tokens


def _transformers(model: Any, ids: list[int]) -> tuple[float, list[int]]:
    """Return new tokens a second without the prompt's part, and the tokens."""
    import torch

    def generate(number: int) -> tuple[float, list[int]]:
        began = time.process_time()
        asked = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None, "max_new_tokens": number}
        found = model.generate(torch.tensor([ids]), **asked)[0, len(ids) :].tolist()
        return time.process_time() - began, found

    first_s, _ = generate(1)
    all_s, tokens = generate(NEW)
    return (NEW - 1) / (all_s - first_s), tokens
