"""The ledger: one JSON line a step, the memory of a run.

Owns the file's format and how a resume cuts it. The ledger at a checkpoint is part of the checkpoint.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from daybreak_contracts import storage


@dataclass(frozen=True)
class LedgerEntry:
    """One step. Loss in nats per token, averaged over all processes; rate as it was used in this step."""

    step: int
    """From 1."""
    epoch: int
    first_sample: int
    """How many samples all processes had seen before this step."""
    tokens: int
    """Positions seen after this step, padding included."""
    loss: float
    """Before the update; ``null`` in the file where it is not finite."""
    grad_norm: float
    """Before clipping; ``null`` likewise."""
    lr: float
    tokens_per_second: float
    batch_digest: str
    """BLAKE2b over sample ids and token ids of the global batch: equal data, equal digest."""
    held_out_loss: float | None = None
    mfu: float | None = None
    """On a GPU whose peak is known."""
    guard: Mapping[str, Any] | None = None
    """What the guard found in this step and did."""
    left_out: bool | None = None
    """Whether the update of this step was not made."""
    generations: list[dict[str, str]] | None = None
    """Where held-out data was looked at: prompt, suffix, the model's text, and what stood there."""
    samples: str | None = None
    """Ids of the batch's samples, process by process (``replay.sample_ids``)."""
    continued_from: str | None = None
    """In the first step after a shorter run's: the checkpoint that it begins with."""


class Ledger:
    """Appends entries to a local file; a line is written at once so that ``tail -f`` shows the run."""

    def __init__(self, path: Path, past: bytes = b"") -> None:
        """Start with the lines of the checkpoint that the run goes on from."""
        self._path = path
        with storage.translated(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(past)
            self._file = path.open("a", buffering=1)
        self._losses = [
            float(entry["loss"])
            for entry in read(past)
            if entry["loss"] is not None and not entry.get("left_out")
        ]

    def append(self, entry: LedgerEntry) -> None:
        """Add one step."""
        present = {name: _writable(value) for name, value in asdict(entry).items() if value is not None}
        with storage.translated(str(self._path)):
            self._file.write(json.dumps(present, allow_nan=False) + "\n")
        if math.isfinite(entry.loss) and not entry.left_out:
            self._losses.append(entry.loss)

    def mean_loss(self, last: int) -> float | None:
        """Return the mean loss of the last steps whose updates were made; None if there were none."""
        tail = self._losses[-last:]
        return sum(tail) / len(tail) if tail else None

    def contents(self) -> bytes:
        """Return all lines so far."""
        self._file.flush()
        return self._path.read_bytes()

    def close(self) -> None:
        """Close the file."""
        with storage.translated(str(self._path)):
            self._file.close()


def _writable(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read(data: bytes) -> list[dict[str, Any]]:
    """Return the entries of a ledger."""
    return [json.loads(line) for line in data.splitlines()]
