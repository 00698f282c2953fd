"""What a start of an engine pod took, by stages: fetch, load, warm. As Prometheus text, and as a line in the log.

The first stage is another container's: it leaves a note beside the model. Owns no clock.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError

FETCH, LOAD, WARM = "fetch", "load", "warm"
"""The model's way to the disk; Triton and the engine until they listen; the golden completion."""
NOTE = "start.json"


def note_of(model: Path) -> Path:
    """Return where the fetch of a model leaves what it took: beside the folder, which holds only what was asked for."""
    return model.with_name(f".{model.name}.{NOTE}")


def leave_note(model: Path, seconds: float, num_bytes: int) -> None:
    """Say what a fetch took. A disk that is full by now does not undo it."""
    with contextlib.suppress(OSError, UserError):
        storage.write_json(str(note_of(model)), {"seconds": round(seconds, 3), "bytes": num_bytes})


class StartStages:
    """Seconds and bytes of one start."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._registry = CollectorRegistry()
        self._seconds = Gauge(
            "daybreak_engine_start_seconds",
            "what a stage of this pod's start took",
            ["stage"],
            registry=self._registry,
        )
        self._bytes = Gauge(
            "daybreak_engine_fetched_bytes", "bytes of the model that were fetched", registry=self._registry
        )

    def read_note(self, model: Path) -> None:
        """Take what the fetch left; a model that was laid here by hand has none."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(note_of(model).read_text(encoding="utf-8"))
            seconds, num_bytes = float(note["seconds"]), float(note["bytes"])
            self._seconds.labels(FETCH).set(seconds)
            self._bytes.set(num_bytes)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage; one that failed says nothing."""
        began_s = self._clock()
        yield
        self._seconds.labels(name).set(self._clock() - began_s)

    def text(self) -> bytes:
        """Return Prometheus's text."""
        return generate_latest(self._registry)

    def line(self) -> str:
        """Return what there is in a few words, as ``fetch 12.1 s, load 30.0 s``."""
        found = {
            sample.labels["stage"]: sample.value
            for metric in self._seconds.collect()
            for sample in metric.samples
        }
        return ", ".join(f"{name} {found[name]:.1f} s" for name in (FETCH, LOAD, WARM) if name in found)
