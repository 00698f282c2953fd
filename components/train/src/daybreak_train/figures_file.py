"""The trainer's figures on their way to the process that answers for the pod: one small file, replaced as a whole.

Owns the file; what the figures are, the contracts say. Imports nothing heavy: both sides of the file use it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from daybreak_contracts.figures import TrainerFigures

FIGURES_FILE = "DAYBREAK_FIGURES_FILE"
INTERVAL_S = 1.0


class FiguresFile:
    """Writes figures at most once a second, and always the last step's."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._written = float("-inf")

    def write(self, figures: TrainerFigures) -> None:
        """Leave the figures for whoever reads them next."""
        now = self._clock()
        if now - self._written < INTERVAL_S and figures.step < figures.total_steps:
            return
        self._written = now
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        temporary.write_text(figures.model_dump_json())
        temporary.replace(self._path)


def figures_file_of(environ: Mapping[str, str]) -> FiguresFile | None:
    """Return the file that the environment names, if it does."""
    path = environ.get(FIGURES_FILE)
    return FiguresFile(Path(path)) if path else None


def read(path: Path) -> TrainerFigures | None:
    """Return the newest figures; None before the first step."""
    try:
        return TrainerFigures.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
