"""A plain training loop over transformers' LlamaForCausalLM, and ours over the same shape: tokens per second.

``python plain_llama.py KIND SIZE`` with KIND ``ours``, ``ours-fp32`` or ``transformers``; prints one number.
Both see the same batches, use AdamW and clip gradients; the best of several steps counts.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from daybreak_contracts.planning import recipe
from daybreak_model.llama.config import llama_config
from daybreak_model.llama.sizes import SIZES, num_parameters
from daybreak_train.model import Llama, ModelConfig, initialise

VOCABULARY, CONTEXT, STEPS = 8192, 512, 8
BATCH_TOKENS = {"1m": 4096, "10m": 8192}


def main(kind: str, size: str) -> None:
    config = ModelConfig(SIZES[size], VOCABULARY, CONTEXT, end_of_text=0)
    parameters = num_parameters(config.dims, VOCABULARY)
    samples = BATCH_TOKENS[size] // CONTEXT
    tokens = torch.randint(1, VOCABULARY, (samples, CONTEXT), generator=torch.Generator().manual_seed(0))
    if kind == "transformers":
        model, loss = theirs(config, tokens)
    else:
        bf16 = kind == "ours" and recipe.bf16_pays(Path("/proc/cpuinfo").read_text(), parameters)
        model, loss = ours(config, tokens, bf16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=kind != "transformers")
    best = float("inf")
    for _ in range(STEPS):
        began = time.perf_counter()
        optimizer.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        best = min(best, time.perf_counter() - began)
    print(tokens.numel() / best)


def ours(
    config: ModelConfig, tokens: torch.Tensor, bf16: bool
) -> tuple[torch.nn.Module, Callable[[], torch.Tensor]]:
    model = Llama(config)
    initialise(model, 0)
    labels = tokens.roll(-1, 1)

    def loss() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return model.loss_sum(tokens, labels) / tokens.numel()

    return model, loss


def theirs(config: ModelConfig, tokens: torch.Tensor) -> tuple[Any, Callable[[], torch.Tensor]]:
    from transformers import LlamaConfig, LlamaForCausalLM

    names = {"<|endoftext|>": 0, "<fim_pad>": 4}
    model = LlamaForCausalLM(
        LlamaConfig(**llama_config(config.dims, config.vocabulary_size, config.context_length, names))
    )
    return model, lambda: model(input_ids=tokens, labels=tokens).loss


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
