"""A plain training loop over transformers' LlamaForCausalLM, and ours over the same shape, each in fp32 and in bf16.

``python plain_llama.py SIZE`` prints one JSON object: tokens per second of processor time by ``ours/fp32`` and so on.
All see the same batches, clip gradients and use the same fused AdamW; bf16 is autocast over fp32 weights. They take
turns step by step in one process, and the best step of each counts: what else the machine does meets all alike.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from daybreak_model.llama.config import llama_config
from daybreak_model.llama.sizes import SIZES
from daybreak_train.model import Llama, ModelConfig, initialise

VOCABULARY, CONTEXT, STEPS = 8192, 512, 10
BATCH_TOKENS = {"1m": 4096, "10m": 8192}


@dataclass(frozen=True)
class Loop:
    """One model in one precision."""

    model: torch.nn.Module
    loss: Callable[[], torch.Tensor]
    optimizer: torch.optim.Optimizer
    bf16: bool

    def step(self) -> float:
        """Train one step and return its seconds of processor time."""
        began = time.process_time()
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = self.loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return time.process_time() - began


def main(size: str) -> None:
    """Let all loops take turns and print what each reached."""
    config = ModelConfig(SIZES[size], VOCABULARY, CONTEXT, end_of_text=0)
    samples = BATCH_TOKENS[size] // CONTEXT
    tokens = torch.randint(1, VOCABULARY, (samples, CONTEXT), generator=torch.Generator().manual_seed(0))
    loops = {
        f"{who}/{'bf16' if bf16 else 'fp32'}": loop_of(*make(config, tokens), bf16)
        for who, make in (("ours", ours), ("transformers", theirs))
        for bf16 in (False, True)
    }
    best = dict.fromkeys(loops, float("inf"))
    for _ in range(STEPS):
        for name, loop in loops.items():
            best[name] = min(best[name], loop.step())
    print(json.dumps({name: tokens.numel() / seconds for name, seconds in best.items()}))


def loop_of(model: torch.nn.Module, loss: Callable[[], torch.Tensor], bf16: bool) -> Loop:
    return Loop(model, loss, torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True), bf16)


def ours(config: ModelConfig, tokens: torch.Tensor) -> tuple[torch.nn.Module, Callable[[], torch.Tensor]]:
    model = Llama(config)
    initialise(model, 0)
    labels = tokens.roll(-1, 1)
    return model, lambda: model.loss_sum(tokens, labels) / tokens.numel()


def theirs(config: ModelConfig, tokens: torch.Tensor) -> tuple[Any, Callable[[], torch.Tensor]]:
    from transformers import LlamaConfig, LlamaForCausalLM

    names = {"<|endoftext|>": 0, "<fim_pad>": 4}
    model = LlamaForCausalLM(
        LlamaConfig(**llama_config(config.dims, config.vocabulary_size, config.context_length, names))
    )
    return model, lambda: model(input_ids=tokens, labels=tokens).loss


if __name__ == "__main__":
    main(sys.argv[1])
