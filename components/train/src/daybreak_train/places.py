"""What lies where below a run's output, and what it is called there: every name once.

Owns names only. It is asked before torch is loaded.
"""

from __future__ import annotations

import re

from daybreak_contracts import artifacts, storage

CHECKPOINTS = "checkpoints"
"""The folder of all runs' checkpoints, below the output."""
MANIFEST = artifacts.MANIFEST
"""Of a checkpoint, called as that of an artifact."""
STATE = "state.json"
LEDGER = "ledger.jsonl"
WEIGHTS = "model.safetensors"
TRUNK = "trunk.json"
RECORD = "training.json"
GUARD = "guard.json"
WRITER = "writer.json"
"""Whose the checkpoints of a run in object storage are: where no file can be locked."""
_STEP = re.compile(r"step-(\d{12})")


def run_folder(digest: str) -> str:
    """Return what a run's own folder is called, of its digest."""
    return digest[:16]


def step_folder(step: int) -> str:
    """Return what the checkpoint after ``step`` steps is called.

    >>> step_folder(70)
    'step-000000000070'
    """
    return f"step-{step:012d}"


def step_in(name: str) -> int | None:
    """Return after how many steps a checkpoint was written, by its name or the path to it; None for another name.

    >>> step_in("0123456789abcdef/step-000000000070"), step_in("trunk.json")
    (70, None)
    """
    found = _STEP.fullmatch(name.rpartition("/")[2])
    return None if found is None else int(found[1])


def of_run(output: str, digest: str) -> str:
    """Return where the checkpoints of a run lie."""
    return storage.join(output, CHECKPOINTS, run_folder(digest))
