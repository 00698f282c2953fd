"""The proof of an export: the folder, loaded by transformers, computes what the trained model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

GOLDEN_TOKENS = 32
"""Tokens of the golden completion: enough to notice a wrong rotary table or a swapped matrix."""
LOGITS_TOLERANCE = 1e-4
"""Greatest difference in fp32 (docs/thresholds.md)."""
GOLDEN_PROMPT = "def add(first, second):\n    return first"


def prove(model: Any, folder: Path) -> dict[str, Any]:
    """Load the folder with transformers, compare it with ``model`` and return the golden completion.

    A difference in logits above 1e-4 or one other greedy token is a bug of ours and ends the step.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    other = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    other.eval()
    if type(other).__name__ != "LlamaForCausalLM":
        raise RuntimeError(f"the folder loads as {type(other).__name__}")
    prompt = tokenizer(GOLDEN_PROMPT)["input_ids"][: model.config.context_length // 2]
    with torch.no_grad():
        ids = torch.tensor([prompt])
        difference = float((model(ids) - other(ids).logits).abs().max())
        if difference > LOGITS_TOLERANCE:
            raise RuntimeError(
                f"logits after export differ by {difference:.2e}, {LOGITS_TOLERANCE} is allowed"
            )
        count = min(GOLDEN_TOKENS, model.config.context_length - len(prompt))
        ours, theirs = _greedy(model, prompt, count), _greedy(lambda ids: other(ids).logits, prompt, count)
    if ours != theirs:
        raise RuntimeError(f"greedy tokens after export differ: {ours} and {theirs}")
    return {
        "prompt": GOLDEN_PROMPT,
        "promptTokens": prompt,
        "tokens": ours,
        "logitsDifference": f"{difference:.1e}",
    }


def _greedy(logits_of: Any, prompt: list[int], count: int) -> list[int]:
    import torch

    ids = list(prompt)
    for _ in range(count):
        ids.append(int(logits_of(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]
