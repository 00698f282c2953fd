"""``training.json``: arguments of a training, and on what it ran from which step on, so that a step can be replayed.

Owns the file beside a run's checkpoints, of which the artifact gets a copy. What stands in it changes no weight.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from daybreak_contracts import storage
from daybreak_contracts.errors import ArtifactError
from daybreak_contracts.steps import TrainArgs

FILE = "training.json"
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


def note_start(folder: str, digest: str, args: TrainArgs, after_step: int, machine: Machine) -> None:
    """Add to the file beside the checkpoints that steps after ``after_step`` are made here."""
    past: Sequence[MachineSegment] = ()
    if after_step and (present := find(folder)) is not None:
        past = [part for part in present.segments if part.after_step < after_step]
    segments = (*past, MachineSegment(after_step=after_step, machine=machine))
    made = TrainingRecord(digest=digest, args=args, segments=segments)
    storage.write_json(storage.join(folder, FILE), made.model_dump(mode="json"))


def find(folder: str) -> TrainingRecord | None:
    """Return the record that lies in a folder; None if there is none that can be read."""
    location = storage.join(folder, FILE)
    if not storage.exists(location):
        return None
    try:
        return read(folder)
    except ArtifactError:
        return None  # of an older version: written anew


def read(folder: str) -> TrainingRecord:
    """Read the record in a folder; none, or one of another version, is an ArtifactError."""
    location = storage.join(folder, FILE)
    if not storage.exists(location):
        raise ArtifactError(
            f"{folder}: this training kept no {FILE}, it was made by an older version and cannot be replayed"
        )
    try:
        return TrainingRecord.model_validate(storage.read_json(location))
    except ValidationError as error:
        raise ArtifactError(
            f"{location}: of another version ({error.errors()[0]['msg']}), use the one that made it"
        ) from error
