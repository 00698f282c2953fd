"""The trainer's metrics on their way to the process that answers for the pod: one small file, replaced as a whole.

Owns the file; what the metrics are, the contracts say. Imports nothing heavy: both sides of the file use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from daybreak_contracts.metrics_snapshot import TrainerHealth, TrainerSnapshot

METRICS_FILE = "DAYBREAK_METRICS_FILE"
INTERVAL_S = 1.0


class MetricsFile:
    """Writes metrics at most once a second, but always the last step's and what the guard finds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._written = float("-inf")
        self._health: TrainerHealth | None = None

    def write(self, snapshot: TrainerSnapshot) -> None:
        """Leave the metrics for whoever reads them next."""
        now = self._clock()
        soon = now - self._written < INTERVAL_S and snapshot.step < snapshot.total_steps
        if soon and snapshot.health == self._health:
            return
        self._written, self._health = now, snapshot.health
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        temporary.write_text(snapshot.model_dump_json())
        temporary.replace(self._path)


def metrics_file_of(environ: Mapping[str, str]) -> MetricsFile | None:
    """Return the file that the environment names, if it does."""
    path = environ.get(METRICS_FILE)
    return MetricsFile(Path(path)) if path else None


def read(path: Path) -> TrainerSnapshot | None:
    """Return the newest metrics; None before the first step."""
    try:
        return TrainerSnapshot.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
