"""Training on the CPU: speed beside a plain transformers loop at equal precision, how fast batches are made, and what a
checkpoint costs.

The peer is ``transformers.LlamaForCausalLM`` with the same dimensions, vocabulary 8,192 and context 512, in a plain
loop with the same fused AdamW. All take turns in one process, measured in processor time.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.row import Row

SCRIPTS = Path(__file__).with_name("peer_scripts")
STEP = 7
UNIT = "tokens per CPU second"


def measure() -> list[Row]:
    """Measure both sizes that a CPU trains, the making of batches, and the stall of a checkpoint of the larger size."""
    rows = [row for size in ("1m", "10m") for row in _speeds(size)]
    return [*rows, *_transforms(), _stall()]


def _speeds(size: str) -> list[Row]:
    found = _answer("plain_llama.py", size)
    what, version = (
        f"training {size}, vocabulary 8,192, context 512",
        importlib.metadata.version("transformers"),
    )
    return [
        Row(
            f"{what}, {precision}",
            found[f"ours/{precision}"],
            UNIT,
            ">= the peer",
            f"transformers {version}, plain loop, {precision}",
            found[f"transformers/{precision}"],
            f"{found[f'ours/{precision}'] / found[f'transformers/{precision}']:.2f} times the peer",
        )
        for precision in ("fp32", "bf16")
    ]


def _transforms() -> list[Row]:
    """Measure fill-in-the-middle of whole batches in series, and with one and two processes ahead."""
    found = _answer("batches_ahead.py")
    per_token = found["bytes a token"]
    rows = [
        Row(
            f"batches with half of the documents rearranged, context {context}, one core",
            found[f"series/{context}"] * per_token / 1e6,
            "MB per CPU second",
            ">= 10",
            "every part tokenised again (tokenizers)",
            found[f"whole/{context}"] * per_token / 1e6,
            f"{found[f'series/{context}']:,.0f} {UNIT}; labels, digests and reading included",
        )
        for context in (512, 2048)
    ]
    ahead = ", ".join(f"{found[f'ahead/{number}']:,.0f} with {number}" for number in (1, 2))
    note = f"by the clock on the wall, a step that only takes them: {ahead} processes ahead"
    return [*rows, Row("batches in series, context 2048", found["ahead/0"], "tokens/s", "", note=note)]


def _answer(script: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, str(SCRIPTS / script), *arguments]
    environ = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # for all: as the train step sets it for itself
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def _stall() -> Row:
    """Measure how long the training waits for a checkpoint, beside the time that writing it takes."""
    import torch

    from daybreak_model.llama.sizes import SIZES
    from daybreak_train.checkpoints import snapshots
    from daybreak_train.checkpoints.writer import CheckpointStore, CheckpointWriter
    from daybreak_train.loop.train_state import Trained, TrainingOutcome, snapshot_of
    from daybreak_train.model import Llama, ModelConfig

    model = Llama(ModelConfig(SIZES["10m"], 8192, 512))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model.loss_sum(torch.zeros(1, 8, dtype=torch.long), torch.zeros(1, 8, dtype=torch.long)).backward()
    optimizer.step()
    trained, outcome = Trained(model, optimizer), TrainingOutcome(step=STEP)
    with tempfile.TemporaryDirectory() as scratch:
        store = CheckpointStore(f"{scratch}/checkpoints", "0" * 64, scratch, keep=3)
        with CheckpointWriter(store) as writer:
            began = time.perf_counter()
            writer.save(snapshot_of(trained, outcome, {}, b""))
            stall = time.perf_counter() - began
        began = time.perf_counter()
        snapshots.write(store.folder, snapshot_of(trained, outcome, {}, b""), store.run, scratch)
        whole = time.perf_counter() - began
    return Row("checkpoint of 10m, training waits", stall, "s", "<= 0.5", "written in the loop", whole)
