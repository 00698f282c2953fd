"""Finds a recorded training: its record, its ledger, and the weights that were kept.

Owns where they may lie: in the train artifact, beside the checkpoints, or moved with the whole output. Loads no
tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daybreak_contracts import artifacts, names, storage
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_train import places
from daybreak_train.checkpoints import snapshots
from daybreak_train.loop import ledger
from daybreak_train.places import CHECKPOINTS
from daybreak_train.replay import record, sample_ids


@dataclass(frozen=True)
class RecordedTraining:
    """A training as it can be replayed."""

    record: record.TrainingRecord
    artifact: str | None
    """The finished training; None while it is at work."""
    checkpoints: str
    entries: Mapping[int, Mapping[str, Any]]
    """The ledger, by step."""

    def entry(self, step: int) -> Mapping[str, Any]:
        """Return the ledger's entry of a step that can be replayed; any other is a UserError."""
        entry = self.entries.get(step)
        if entry is None:
            last = max(self.entries, default=0)
            has = f"its ledger has steps 1 to {last}" if last else "its ledger is empty"
            raise UserError(f"step {step}: not a step of this run, {has}")
        if "samples" not in entry:
            raise UserError(
                f"step {step}: the ledger is of an older version and keeps no sample ids: steps that this version "
                "trained can be replayed"
            )
        return entry

    def shares(self, step: int) -> tuple[tuple[int, ...], ...]:
        """Return the sample ids of a step, process by process."""
        return sample_ids.decode(str(self.entry(step)["samples"]))

    @property
    def kept(self) -> list[int]:
        """Steps after which a checkpoint was kept, newest first."""
        return snapshots.steps_in(self.checkpoints)


def find_training(place: str, digest: str | None) -> RecordedTraining:
    """Return the training of an output, or the one that a folder holds; none or several are a UserError."""
    if storage.exists(storage.join(place, places.RECORD)):
        return _training(place)
    found: dict[str, str] = {}
    for parent in (CHECKPOINTS, names.STEP_TRAIN):
        above = storage.join(place, parent)
        for name in storage.list_files(above):
            head, _, tail = name.partition("/")
            if tail == places.RECORD and (digest is None or digest.startswith(head)):
                found[head] = storage.join(above, head)
    if not found:
        raise UserError(
            f"{place}: no training here that can be replayed (none left a {places.RECORD}): run it, or name its folder "
            "below train/ or checkpoints/"
        )
    if len(found) > 1:
        raise UserError(f"{place}: holds several trainings, name one: {', '.join(sorted(found.values()))}")
    return _training(next(iter(found.values())))


def _training(folder: str) -> RecordedTraining:
    known = record.read(folder)
    short = places.run_folder(known.digest)
    above = folder.rstrip("/").rpartition("/")[0].rpartition("/")[0]
    artifact: str | None = storage.join(above, names.STEP_TRAIN, short)
    if artifact is not None and not storage.exists(storage.join(artifact, artifacts.MANIFEST)):
        artifact = None
    checkpoints = storage.join(above, CHECKPOINTS, short)
    entries = {int(entry["step"]): entry for entry in ledger.read(_ledger(artifact, checkpoints))}
    return RecordedTraining(known, artifact, checkpoints, entries)


def _ledger(artifact: str | None, checkpoints: str) -> bytes:
    folders = [artifact] if artifact is not None else []
    folders.append(checkpoints)
    folders += [snapshots.uri_of(checkpoints, step) for step in snapshots.steps_in(checkpoints)]
    for folder in folders:
        location = storage.join(folder, places.LEDGER)
        if storage.exists(location):
            return storage.read_bytes(location)
    raise ArtifactError(f"{checkpoints}: no {places.LEDGER} here yet, wait for the first checkpoint")


def input_uri(training: RecordedTraining, uri: str, step: str) -> str:
    """Return where an artifact that the training read lies now: where it was, or beside the training if all moved."""
    beside = training.checkpoints.rpartition(f"/{CHECKPOINTS}/")[0]
    moved = storage.join(beside, step, uri.rstrip("/").rpartition("/")[2])
    for place in (uri, moved):
        if storage.exists(storage.join(place, artifacts.MANIFEST)):
            return place
    raise ArtifactError(
        f"{uri}: the {step} that this run was trained with are not there any more, make them again"
    )
