"""State in parts over two processes (FSDP2) beside the whole state in each (Composer's DDP), on the CPU with Gloo.

The same training of a model of 4 million parameters, one thread a process: losses, speed, memory of a process, and the
bytes that each writes in a checkpoint. On one machine there is no network to save, so DDP is expected to be faster.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from daybreak_contracts.resources.run import CustomModel, Model
from tests.bench.row import Row
from tests.train.conftest import (
    Made,
    Zygote,
    ledger_of,
    make_inputs,
)

STEPS = 20
SHAPE = CustomModel(hidden_size=256, layers=4, heads=4, key_value_heads=2, intermediate_size=1024)
PEER = "Composer 0.32 with DDP"


def measure() -> list[Row]:
    """Train both ways, one after the other."""
    zygote = Zygote()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            made = make_inputs(Path(scratch) / "inputs")
            ends = {
                kind: _trained(zygote, made, Path(scratch) / kind, shard_from)
                for kind, shard_from in (("parts", 0), ("whole", None))
            }
    finally:
        zygote.close()
    return _rows(ends["parts"], ends["whole"])


def _trained(zygote: Zygote, made: Made, place: Path, shard_from: int | None) -> dict[str, Any]:
    args = made.args(place, tokens=STEPS * 4096 * 2, model=Model(custom=SHAPE))
    result = zygote.run_group(args, place, 2, shard_from)
    newest = max(place.glob("out/checkpoints/*/step-*"))
    files = json.loads((newest / "manifest.json").read_text())["files"]
    mine = [entry["size"] for name, entry in files.items() if "-00001" not in name]
    return {**result, "ledger": ledger_of(result), "written": sum(mine)}


def _rows(parts: dict[str, Any], whole: dict[str, Any]) -> list[Row]:
    apart = max(
        abs(one["loss"] - other["loss"]) / other["loss"]
        for one, other in zip(parts["ledger"], whole["ledger"], strict=True)
    )
    what = f"two processes, {parts['num_parameters'] / 1e6:.1f} M parameters"
    steps = len(parts["ledger"])
    speed, memory = "tokens_per_second", "peak_memory_bytes"
    return [
        Row(
            f"{what}: largest relative difference of a loss",
            apart,
            "",
            "0: one micro-batch a step",
            PEER,
            0.0,
            f"{steps} steps",
        ),
        Row(f"{what}: speed", parts[speed], "tokens/s", "said honestly", PEER, whole[speed]),
        Row(
            f"{what}: rank 0 writes in a checkpoint",
            parts["written"] / 1e6,
            "MB",
            "half",
            PEER,
            whole["written"] / 1e6,
        ),
        Row(
            f"{what}: peak memory of rank 0",
            parts[memory] / 1e6,
            "MB",
            "less",
            PEER,
            whole[memory] / 1e6,
            "resident",
        ),
    ]
