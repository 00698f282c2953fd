"""Training on the CPU: tokens per second beside a plain transformers loop, and what a checkpoint costs.

The peer is ``transformers.LlamaForCausalLM`` with the same dimensions, vocabulary 8,192 and context 512, in a plain
loop with AdamW. Both run in a process of their own, one after the other.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.row import Row

SCRIPT = Path(__file__).with_name("peer_scripts") / "plain_llama.py"
STEP = 7


def measure() -> list[Row]:
    """Measure both sizes that a CPU trains, and the stall of a checkpoint of the larger one."""
    rows = [row for size in ("1m", "10m") for row in _speeds(size)]
    return [*rows, _stall()]


def _speeds(size: str) -> list[Row]:
    peer = _tokens_per_second("transformers", size)
    what, name = f"training {size}, vocabulary 8,192, context 512", "transformers 4.57, plain fp32 loop"
    target = ">= the peer"
    return [
        Row(what, _tokens_per_second("ours", size), "tokens/s", target, name, peer, "as it trains here"),
        Row(f"{what}, fp32", _tokens_per_second("ours-fp32", size), "tokens/s", target, name, peer),
    ]


def _tokens_per_second(kind: str, size: str) -> float:
    command = [sys.executable, str(SCRIPT), kind, size]
    environ = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # for both: as the train step sets it for itself
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environ)
    return float(done.stdout)


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
