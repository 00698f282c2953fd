"""Peak rate by size, length and batch: what the defaults of ``planning.schedule`` for 1m and 10m were chosen from.

Next-token training on Python of this environment (vocabulary 4,096, context 256, packages held out whole), with the
schedule of a real run: warm-up of a twentieth, decay over the last fifth. One thread, fp32.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daybreak_contracts.planning.sizes import SIZES, Dimensions
from tests.bench.data.corpus import environment_code
from tests.bench.row import Row

VOCABULARY, CONTEXT = 4096, 256
CORPUS_BYTES = 12_000_000
HELD_OUT_TOKENS = 40_000
GRID = (
    ("1m", 100_000, 1024, (1e-3, 2e-3, 4e-3, 8e-3)),
    ("1m", 100_000, 4096, (2e-3, 4e-3, 8e-3, 16e-3)),
    ("1m", 400_000, 1024, (1e-3, 2e-3, 4e-3)),
    ("10m", 40_000, 1024, (1e-3, 2e-3, 4e-3)),
)
"""Size, tokens, tokens a step, peak rates."""


@dataclass(frozen=True)
class SweepData:
    """Packed tokens to train on and to look at, and the id that ends a document."""

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]
    end_of_text: int


def measure() -> list[Row]:
    """Return for each size, length and batch the held-out loss of the best peak, with the others beside."""
    data = packed_code(max(tokens for _, tokens, _, _ in GRID))
    rows = []
    for size, tokens, batch, rates in GRID:
        losses = {rate: held_out_loss(SIZES[size], tokens, batch, rate, data) for rate in rates}
        print(size, tokens, batch, losses, file=sys.stderr)
        best = min(losses, key=lambda rate: losses[rate])
        note = ", ".join(f"{rate:g}: {loss:.3f}" for rate, loss in losses.items())
        what = f"{size}, {tokens / 1e6:g} million tokens, {batch:,} a step: held-out loss at {best:g}"
        rows.append(Row(what, losses[best], "nats", "", note=note))
    return rows


def packed_code(most_tokens: int) -> SweepData:
    """Return so many tokens of this environment's Python to train on, and those of packages that are held out whole."""
    from daybreak_contracts import names
    from daybreak_data.tokenizer import step as tokenizer
    from daybreak_model.vocabulary import TextEncoder, special_ids

    python = [(path, text) for path, text in environment_code(4 * CORPUS_BYTES) if path.endswith(".py")]
    packages = sorted({_package(path) for path, _ in python})
    held = set(random.Random(0).sample(packages, len(packages) // 10))
    learnt = [text for path, text in python if _package(path) not in held]
    trained = tokenizer.padded(tokenizer.train(iter(_first(learnt, CORPUS_BYTES // 3)), VOCABULARY).to_str())
    encoder, end = TextEncoder(trained), special_ids(trained)[names.END_OF_TEXT]

    def packed(texts: Sequence[str], limit: int) -> NDArray[np.int64]:
        ids: list[int] = []
        for text in texts:
            if len(ids) > limit:
                break
            ids += [*encoder.encode(text[:20_000]), end]
        rows = min(len(ids), limit) // CONTEXT
        return np.array(ids[: rows * CONTEXT], dtype=np.int64).reshape(rows, CONTEXT)

    unseen = [text for path, text in python if _package(path) in held]
    return SweepData(packed(learnt, most_tokens), packed(unseen, HELD_OUT_TOKENS), end)


def _package(path: str) -> str:
    parts = Path(path).parts
    return parts[parts.index("site-packages") + 1] if "site-packages" in parts else "stdlib"


def _first(texts: Sequence[str], num_bytes: int) -> list[str]:
    found: list[str] = []
    total = 0
    for text in texts:
        found.append(text)
        total += len(text)
        if total >= num_bytes:
            break
    return found


def held_out_loss(dims: Dimensions, tokens: int, batch: int, rate: float, data: SweepData) -> float:
    """Train once and return the loss on the held-out part."""
    import torch

    from daybreak_contracts.planning import schedule
    from daybreak_contracts.planning.schedule import Hyperparameters
    from daybreak_train.loop.trainer import BETAS, EPSILON
    from daybreak_train.model import Llama, ModelConfig, initialise

    torch.set_num_threads(1)
    numbers = Hyperparameters(
        peak_rate=rate,
        warmup_tokens=round(schedule.WARM_UP_SHARE * tokens),
        decay_share=schedule.DECAY_SHARE,
        samples_per_step=batch // CONTEXT,
        clip_norm=schedule.CLIP_NORM,
        weight_decay=schedule.WEIGHT_DECAY,
    )
    model = Llama(ModelConfig(dims, VOCABULARY, CONTEXT, data.end_of_text))
    initialise(model, 0)
    matrices = [
        weight for name, weight in model.named_parameters() if weight.ndim > 1 and "embedding" not in name
    ]
    others = [weight for name, weight in model.named_parameters() if weight.ndim < 2 or "embedding" in name]
    groups = [
        {"params": matrices, "weight_decay": numbers.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=EPSILON, fused=True)
    order = np.random.default_rng(0).permutation(len(data.train))
    steps = math.ceil(tokens / batch)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = numbers.rate(step * batch, step / steps)
        rows = order[
            np.arange(step * numbers.samples_per_step, (step + 1) * numbers.samples_per_step) % len(order)
        ]
        loss = _mean_loss(model, data.train[rows])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), numbers.clip_norm)
        optimizer.step()
    with torch.no_grad():
        looks = [
            float(_mean_loss(model, data.held_out[at : at + 16])) for at in range(0, len(data.held_out), 16)
        ]
    return sum(looks) / len(looks)


def _mean_loss(model: Any, rows: NDArray[np.int64]) -> Any:
    import torch

    labels = np.full_like(rows, -100)
    labels[:, :-1] = rows[:, 1:]
    total = model.loss_sum(torch.from_numpy(rows), torch.from_numpy(labels))
    return total / (labels >= 0).sum()
