"""A model of more layers that gives the same answers as another one and takes longer: really bad, and only in that.

Owns the making of its folder. The layers put in between add nothing to what passes through them (their output
matrices are zero), so even the golden completion stays right.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from daybreak_contracts import artifacts, names
from daybreak_contracts.artifacts import Manifest

WEIGHTS = "model.safetensors"
OUTPUTS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")


def commit(source: Path, staging: Path, into: Path, layers: int) -> Manifest:
    """Make the artifact at ``into`` of the model folder ``source``, with so many layers."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(source, staging, ignore=shutil.ignore_patterns(artifacts.MANIFEST))
    config = json.loads((staging / "config.json").read_text())
    there = int(config["num_hidden_layers"])
    weights: dict[str, Any] = load_file(staging / WEIGHTS)
    template = {name: value for name, value in weights.items() if name.startswith("model.layers.0.")}
    for layer in range(there, layers):
        for name, value in template.items():
            part = name.removeprefix("model.layers.0.")
            copy = value.clone()
            weights[f"model.layers.{layer}.{part}"] = copy.zero_() if part in OUTPUTS else copy
    save_file(weights, staging / WEIGHTS, metadata={"format": "pt"})
    (staging / "config.json").write_text(json.dumps({**config, "num_hidden_layers": layers}))
    digest = artifacts.digest_of({"step": names.STEP_EXPORT, "layers": layers})
    return artifacts.commit(
        str(into), staging, step=names.STEP_EXPORT, digest=digest, inputs={}, result={"layers": layers}
    )
