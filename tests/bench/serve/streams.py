"""Eight requests at once on a processor, beside transformers' batch of eight: tokens for a second of its time.

The model has the shape of first-light and random weights: what is measured does not depend on them. Rounds alternate.
Also counted: requests whose tokens, greedy or drawn, are the same beside seven others as alone.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from daybreak_serve.engine.protocol import Chunk, GenerationOptions
from daybreak_serve.engine.scheduler import Engine
from tests.bench.row import Row

os.environ.setdefault("HF_HUB_OFFLINE", "1")
PROMPT, NEW, ROUNDS, STREAMS = 100, 64, 5, 8
COMPARED = 128
VOCABULARY = 1024
PEER = "transformers, generate"


class Kept:
    """A sink that keeps the tokens."""

    def __init__(self) -> None:
        self.token_ids: list[int] = []
        self.is_done = False

    def cancelled(self) -> bool:
        """Nobody leaves."""
        return False

    def send(self, chunk: Chunk) -> None:
        """Keep."""
        self.token_ids += chunk.token_ids
        self.is_done = chunk.finish_reason is not None

    def fail(self, reason: str) -> None:
        """Nothing may fail here."""
        raise AssertionError(reason)


def measure() -> list[Row]:
    """Return tokens a second of processor time at eight streams and at one, and how many texts stayed the same."""
    import torch
    import transformers
    from transformers import LlamaForCausalLM

    from daybreak_serve.engine.decoder import DecoderModel

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_model(folder)
        ours = DecoderModel(folder, num_threads=1)
        theirs = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    random = np.random.default_rng(0)

    def prompts(number: int) -> list[list[int]]:
        return random.integers(1, VOCABULARY, (number, PROMPT)).tolist()

    def peer(asked: list[list[int]]) -> None:
        with torch.inference_mode():
            theirs.generate(
                torch.tensor(asked), max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, pad_token_id=0
            )

    found: dict[tuple[int, bool], list[float]] = {}
    for turn in range(ROUNDS + 1):
        for streams in (STREAMS, 1):
            asked = prompts(streams)
            for is_peer in (False, True):
                began = time.process_time()
                if is_peer:
                    peer(asked)
                else:
                    complete(ours, asked)
                took = time.process_time() - began
                if turn:  # the first round warms up
                    found.setdefault((streams, is_peer), []).append(streams * NEW / took)
    same = _same(ours, prompts(COMPARED))
    version = f"{PEER} {transformers.__version__}"
    rows = []
    for streams, target in ((STREAMS, ">= 1,000"), (1, "")):
        mine, peers = (statistics.median(found[streams, is_peer]) for is_peer in (False, True))
        what = f"tokens for a second of processor time, {streams} stream{'s' * (streams > 1)}"
        rows.append(Row(what, mine, "tokens/s", target, version, peers, "scheduler included, Triton not"))
    rows.append(Row("completions with the same tokens beside seven others as alone", same, "", f"{COMPARED}"))
    return rows


def complete(model: Any, prompts: list[list[int]], *, drawn: bool = False) -> list[list[int]]:
    """Return what the engine answers to prompts that come at once.

    With ``drawn`` about every second answer is drawn, and they have 64 to 70 tokens.
    """
    engine = Engine(
        model, [b"a"] * VOCABULARY, frozenset(), clock=time.monotonic, new_seed=lambda: 1, max_running=STREAMS
    )
    sinks = [Kept() for _ in prompts]
    for prompt, sink in zip(prompts, sinks, strict=True):
        chance = 0.8 if drawn and sum(prompt) % 2 else 0.0
        size = NEW + sum(prompt) % 7 if drawn else NEW
        engine.submit(prompt, GenerationOptions(size, chance, seed=sum(prompt)), sink)
    while not all(sink.is_done for sink in sinks):
        engine.turn()
    return [sink.token_ids for sink in sinks]


def _same(model: Any, prompts: list[list[int]]) -> int:
    """Count prompts answered alike. Answers differ in length, so that neighbours come and go."""
    together = complete(model, prompts, drawn=True)
    alone = [complete(model, [prompt], drawn=True)[0] for prompt in prompts]
    return sum(a == b for a, b in zip(together, alone, strict=True))


def _write_model(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        eos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
