"""``training.json``: what a training was made by, and on what from which step on, so that a step can be replayed.

Owns the file beside a run's checkpoints, of which the artifact gets a copy. What stands in it changes no weight.
"""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from daybreak_contracts import storage
from daybreak_contracts.errors import ArtifactError
from daybreak_contracts.planning.schedule import Hyperparameters
from daybreak_contracts.steps import TrainArgs
from daybreak_train import places

LIBRARIES = ("torch", "mosaicml", "mosaicml-streaming", "numpy", "tokenizers", "safetensors")
"""Those whose version can change a loss in its last bits, or the order of samples."""


class Machine(BaseModel):
    """What the last bits of a sum depend on, beside the numbers themselves."""

    model_config = ConfigDict(frozen=True)

    device: str
    """The GPU's or the processor's name."""
    processes: int
    threads: int
    """Of each process."""
    versions: dict[str, str]

    def differences(self, other: Machine) -> tuple[str, ...]:
        """Return in words what is another there, which may change the last bits of a loss."""
        pairs = [
            ("device", self.device, other.device),
            ("processes", self.processes, other.processes),
            ("threads", self.threads, other.threads),
            *((name, self.versions.get(name), other.versions.get(name)) for name in LIBRARIES),
        ]
        return tuple(f"{name}: {mine} then, {theirs} now" for name, mine, theirs in pairs if mine != theirs)


class MachineSegment(BaseModel):
    """The steps that one process group made without a stop."""

    model_config = ConfigDict(frozen=True)

    after_step: int
    machine: Machine


class TrainingRecord(BaseModel):
    """The file's contents."""

    model_config = ConfigDict(frozen=True)

    digest: str
    args: TrainArgs
    hyperparameters: Hyperparameters
    """As they were resolved: of a run that went on from a shorter one they are that one's, which may be gone."""
    computes_in: str
    """What its products are computed in, as torch calls it: measured when the run began."""
    segments: tuple[MachineSegment, ...]

    def machine_at(self, step: int) -> Machine:
        """Return what step ``step`` (from 1) ran on."""
        known = (part.machine for part in reversed(self.segments) if part.after_step < step)
        return next(known, self.segments[0].machine)


def this_machine(gpu: str, processes: int, threads: int) -> Machine:
    """Return where this process runs; ``gpu`` is the GPU's name, empty on a CPU."""
    return Machine(
        device=gpu or processor_name(),
        processes=processes,
        threads=threads,
        versions={name: metadata.version(name) for name in LIBRARIES},
    )


def processor_name() -> str:
    """Return the processor's name as Linux says it, else what Python knows."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def note_start(folder: str, begins: TrainingRecord, shorter: str | None = None) -> None:
    """Write beside the checkpoints what a training that begins or goes on is made by, after what is known of it.

    ``begins`` has the one segment that begins. ``shorter`` is the folder of the run whose steps come first, if any.
    """
    after_step = begins.segments[0].after_step
    earlier = find(folder) or (find(shorter) if shorter is not None else None)
    known = earlier.segments if earlier is not None else ()
    past = tuple(part for part in known if part.after_step < after_step)
    made = begins.model_copy(update={"segments": (*past, *begins.segments)})
    storage.write_json(storage.join(folder, places.RECORD), made.model_dump(mode="json"))


def find(folder: str) -> TrainingRecord | None:
    """Return the record that lies in a folder; None if there is none that can be read."""
    location = storage.join(folder, places.RECORD)
    if not storage.exists(location):
        return None
    try:
        return read(folder)
    except ArtifactError:
        return None  # of an older version: written anew


def read(folder: str) -> TrainingRecord:
    """Read the record in a folder; none, or one of another version, is an ArtifactError."""
    location = storage.join(folder, places.RECORD)
    if not storage.exists(location):
        raise ArtifactError(
            f"{folder}: this training kept no {places.RECORD}, it was made by an older version and cannot be replayed"
        )
    try:
        return TrainingRecord.model_validate(storage.read_json(location))
    except ValidationError as error:
        raise ArtifactError(
            f"{location}: of another version ({error.errors()[0]['msg']}), use the one that made it"
        ) from error
