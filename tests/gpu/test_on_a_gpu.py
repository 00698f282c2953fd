"""What only a GPU can show, under ten minutes on one H200: `uv run pytest tests/gpu -s`.

Flex attention against the dense mask, with gradients; a training that resumes and whose guard drops a step, on the
device; then tokens a second and MFU at four sizes beside a compiled transformers Llama and our model without its
document masks. The figures are printed as rows for docs/benchmarks.md, and written to $OUT/gpu.json where that is set.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from daybreak_contracts.planning import recipe
from daybreak_contracts.planning.gpus import GPUS
from daybreak_contracts.planning.sizes import SIZES, Dimensions, flops_per_token
from daybreak_model.llama.config import llama_config
from daybreak_train.document_attention import block_mask, dense_mask, flex_compiles
from daybreak_train.model import Llama, ModelConfig, initialise

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine"),
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
]
VOCABULARY, CONTEXT, END = 32768, 2048, 0
BATCHES = {"125m": 32, "350m": 16, "1b": 8, "3b": 4}
"""Samples of 2,048 tokens in one pass."""
WARM, TIMED = 4, 8
GOALS = {"125m": 0.45, "350m": 0.50, "1b": 0.52, "3b": 0.53}


def packed(samples: int, length: int, device: str) -> torch.Tensor:
    """Samples of documents of some 300 tokens each."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, VOCABULARY, (samples, length), generator=generator)
    tokens[torch.rand(tokens.shape, generator=generator) < 1 / 300] = END
    return tokens.to(device)


def step_of(model: Any, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    """One training step in bf16 over fp32 weights, all that a run does to weights."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), fused=True)
    device = next(model.parameters()).device.type

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16):
            value = loss()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def ours(dims: Dimensions, tokens: torch.Tensor, end_of_text: int | None) -> Callable[[], None]:
    model = Llama(ModelConfig(dims, VOCABULARY, tokens.shape[1], end_of_text))
    initialise(model, 0)
    model.to(tokens.device)
    for layer in model.layers:
        layer.compile()
    labels = tokens.roll(-1, 1)
    return step_of(model, lambda: model.loss_sum(tokens, labels) / tokens.numel())


def transformers_llama(dims: Dimensions, tokens: torch.Tensor) -> Callable[[], None]:
    from transformers import LlamaConfig, LlamaForCausalLM

    names = {"<|endoftext|>": END, "<fim_pad>": 4}
    config = LlamaConfig(**llama_config(dims, VOCABULARY, tokens.shape[1], names), attn_implementation="sdpa")
    model = LlamaForCausalLM(config).float().to(tokens.device)
    compiled = torch.compile(model)
    return step_of(model, lambda: compiled(input_ids=tokens, labels=tokens).loss)


def tokens_per_second(step: Callable[[], None], tokens: int) -> float:
    for _ in range(WARM):
        step()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(TIMED):
        step()
    torch.cuda.synchronize()
    return TIMED * tokens / (time.perf_counter() - began)


@pytest.mark.parametrize("length", [512, 2048, 8192])
def test_flex_attention_is_the_dense_mask_with_its_gradients(length: int) -> None:
    assert flex_compiles()
    dims = Dimensions(hidden_size=256, layers=2, heads=4, key_value_heads=2, intermediate_size=512)
    model = Llama(ModelConfig(dims, VOCABULARY, length, END))
    initialise(model, 0)
    model.to("cuda")
    tokens, found = packed(2, length, "cuda"), []
    for make in (dense_mask, block_mask):
        model.zero_grad()
        with torch.autocast("cuda", torch.bfloat16):
            hidden = model.hidden(tokens, make(tokens, END))
        hidden.float().square().mean().backward()
        found.append((hidden.float(), [weight.grad for weight in model.parameters()]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=3e-2, atol=3e-2)  # bf16 has 8 bits
    for dense, flex in zip(found[0][1], found[1][1], strict=True):
        assert float((dense - flex).norm() / dense.norm().clamp_min(1e-9)) < 0.03


@pytest.mark.needs("torchrun")
def test_a_training_on_the_device_drops_a_step_that_is_not_finite(
    zygote: Any, made: Any, tmp_path: Path, ledger: Callable[[dict[str, Any]], list[dict[str, Any]]]
) -> None:
    args = made.args(tmp_path, tokens=16 * 4096, training={"gpus_per_node": 1})
    fault = json.dumps({"kind": "nan", "steps": [9]})
    entries = ledger(zygote.run(args, tmp_path, DAYBREAK_TEST_FAULT=fault))
    assert len(entries) == 16
    assert entries[8]["loss"] is None
    assert entries[-1]["loss"] < entries[0]["loss"]


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[str, float]]:
    found: dict[str, float] = {}
    yield found
    print(json.dumps(found, indent=1))
    if "OUT" in os.environ:
        Path(os.environ["OUT"], "gpu.json").write_text(json.dumps(found))


@pytest.mark.parametrize("size", BATCHES)
def test_model_flops_utilisation(size: str, rows: dict[str, float]) -> None:
    gpu = GPUS.get(torch.cuda.get_device_name())
    if gpu is None:
        pytest.skip(f"the peak of {torch.cuda.get_device_name()} is not known")
    dims, tokens = SIZES[size], packed(BATCHES[size], CONTEXT, "cuda")
    flops = flops_per_token(dims, VOCABULARY, CONTEXT)
    ways: dict[str, Callable[[], Callable[[], None]]] = {
        "ours": lambda: ours(dims, tokens, END),
        "ours, documents not kept apart": lambda: ours(dims, tokens, None),
        "transformers, compiled": lambda: transformers_llama(dims, tokens),
    }
    for way, make in ways.items():
        torch.cuda.empty_cache()
        torch._dynamo.reset()
        speed = tokens_per_second(make(), tokens.numel())
        rows[f"{size}, {way}: tokens/s"] = round(speed)
        rows[f"{size}, {way}: MFU"] = round(recipe.mfu(speed, flops, gpu.flops), 4)
    assert rows[f"{size}, ours: MFU"] >= GOALS[size] / 2, (
        "goals are in docs/benchmarks.md; half of one is a fault"
    )
