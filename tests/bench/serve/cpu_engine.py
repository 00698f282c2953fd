"""The engine for processors beside llama.cpp: one stream, one thread, greedy, nothing cached, the same weights."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from daybreak_train.export import gguf
from tests.bench.peer import run_peer
from tests.bench.row import Row

os.environ.setdefault("HF_HUB_OFFLINE", "1")
REQUIREMENTS = ("xllamacpp==2026.10.11549", "gguf==0.19.0", "numpy==2.4.6", "safetensors==0.8.0")
PEER = "llama.cpp (xllamacpp 2026.10.11549)"
PROMPT, NEW, TURNS = 256, 128, 4
VOCABULARY = 8192


def measure() -> list[Row]:
    """Return prompt and generation speed and the processor's time of a request, for both widths of the peer."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder)
        random = np.random.default_rng(0)
        prompts = random.integers(1, VOCABULARY, (TURNS, PROMPT)).tolist()
        given = folder / "given.json"
        given.write_text(json.dumps({"prompts": prompts, "new": NEW}))
        mine = _ours(folder, prompts)
        peers = {
            width: run_peer("llama.cpp", REQUIREMENTS, "llama_cpp.py", str(folder), str(given), width)
            for width in ("f32", "f16")
        }
    rows = []
    for width, theirs in peers.items():
        equal = sum(a[:8] == b[:8] for a, b in zip(mine["tokens"], theirs["tokens"], strict=True))
        note = f"first eight tokens equal in {equal} of {TURNS} completions"
        rows += [
            _row("new tokens, one stream, float32", "tokens/s", NEW, "new_s", mine, theirs, width, note),
            _row("prompt tokens, float32", "tokens/s", PROMPT, "prompt_s", mine, theirs, width, ""),
            _row("processor time of a request", "s", 0, "cpu_s", mine, theirs, width, ""),
        ]
    return rows


def _row(
    what: str,
    unit: str,
    tokens: int,
    key: str,
    mine: dict[str, Any],
    theirs: dict[str, Any],
    width: str,
    note: str,
) -> Row:
    figures = [statistics.median(found[key]) for found in (mine, theirs)]
    ours, peer = (tokens / value if tokens else value for value in figures)
    return Row(what, ours, unit, "", f"{PEER}, {width}", peer, note)


def write_model(folder: Path) -> None:
    """8.5 million parameters: 8 layers, 256 wide; weights far enough apart that no rounding turns a choice."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.08,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    described = config.to_dict()
    weights = load_file(folder / "model.safetensors")
    renamed = {
        gguf.gguf_name(name): gguf.laid_out(name, value, described).contiguous()
        for name, value in weights.items()
    }
    save_file(renamed, folder / "llama_cpp.safetensors")


def _ours(folder: Path, prompts: list[list[int]]) -> dict[str, Any]:
    from daybreak_serve.engine.decoder import Cache, DecoderModel

    model = DecoderModel(folder, num_threads=1)
    found: dict[str, Any] = {"prompt_s": [], "new_s": [], "cpu_s": [], "tokens": []}
    for prompt in [prompts[0], *prompts]:  # the first turn warms up
        cpu, began = time.process_time(), time.perf_counter()
        cache, _ = model.start(prompt)
        assert isinstance(cache, Cache)
        token = int(model.advance(cache, prompt).argmax())
        prompted = time.perf_counter()
        tokens = [token]
        while len(tokens) < NEW:
            tokens.append(int(model.advance(cache, tokens[-1:]).argmax()))
        found["new_s"].append(time.perf_counter() - prompted)
        found["prompt_s"].append(prompted - began)
        found["cpu_s"].append(time.process_time() - cpu)
        found["tokens"].append(tokens)
    return {name: values[1:] for name, values in found.items()}
