"""The proof of an export: the folder, loaded by transformers, computes what the trained model does."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

GOLDEN_TOKENS = 32
"""Tokens of the golden completion: enough to notice a wrong rotary table or a swapped matrix."""
LOGITS_TOLERANCE = 3e-5
"""Greatest difference in fp32 as a share of the greatest logit (docs/thresholds.md).

A sum of n products is off by about 6e-8 sqrt(n) of its size, and a logit of a large model is one of some 2.5e5; a wrong
mapping is off by a tenth at least. Below 1 the size counts as 1.
"""
GOLDEN_PROMPT = "def add(first, second):\n    return first"


def prove(model: Any, folder: Path) -> dict[str, Any]:
    """Load the folder with transformers, compare it with ``model`` and return the golden completion.

    A greater difference in logits than rounding makes, or another greedy token, is a bug of ours and ends the step.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))["torch_dtype"]
    other = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    other.eval()
    if type(other).__name__ != "LlamaForCausalLM":
        raise RuntimeError(f"the folder loads as {type(other).__name__}")
    prompt = tokenizer(GOLDEN_PROMPT)["input_ids"][: model.config.context_length // 2]
    with torch.no_grad():
        allowed, difference = _compared(model, other, prompt)
        count = min(GOLDEN_TOKENS, model.config.context_length - len(prompt))
        tokens = _greedy(model, prompt, count)
        behind = _logits(other, [*prompt, *tokens])[len(prompt) - 1 : -1]
        said = behind.gather(1, torch.tensor(tokens).unsqueeze(1)).squeeze(1)
        kept = count
        if stored == "bfloat16":
            rough = _logits(other.bfloat16(), [*prompt, *tokens])[len(prompt) - 1 : -1].float()
            kept = num_clear(behind, rough)
    # two tokens may be as likely as each other but for rounding: either is right
    if not bool((said >= behind.max(1).values - 2 * allowed).all()):
        raise RuntimeError(f"greedy tokens after export differ: {tokens} and {behind.argmax(1).tolist()}")
    return {
        "prompt": GOLDEN_PROMPT,
        "promptTokens": prompt,
        "tokens": tokens[:kept],
        "logitsDifference": f"{difference:.1e}",
    }


def num_clear(exact: Any, rough: Any) -> int:
    """Return how many greedy tokens rounding cannot change: those before the first whose lead is less than twice the
    error. At least one, for a golden completion has a token.

    What is stored in bf16 is served in bf16, and an engine that answers another golden completion is taken for broken.
    """
    first, second = exact.topk(2, dim=1).values.unbind(1)
    clear = (first - second > 2 * (exact - rough).abs().max(1).values).long()
    return max(1, int(clear.cumprod(0).sum()))


def _compared(model: Any, other: Any, prompt: list[int]) -> tuple[float, float]:
    """Return how far logits may differ and how far they do; more than that, or no number at all, ends the step."""
    import torch

    ours, theirs = model(torch.tensor([prompt]))[0], _logits(other, prompt)
    scale, difference = float(ours.abs().max()), float((ours - theirs).abs().max())
    allowed = LOGITS_TOLERANCE * max(1.0, scale)
    if not math.isfinite(scale) or not difference <= allowed:  # also where one is not a number
        raise RuntimeError(
            f"logits after export differ by {difference:.2e}, {allowed:.2e} is allowed at logits up to {scale:.1f}"
        )
    return allowed, difference


def _logits(other: Any, ids: list[int]) -> Any:
    import torch

    return other(torch.tensor([ids])).logits[0]


def _greedy(model: Any, prompt: list[int], count: int) -> list[int]:
    import torch

    ids = list(prompt)
    for _ in range(count):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]
