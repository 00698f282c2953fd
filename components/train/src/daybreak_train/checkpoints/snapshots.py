"""Checkpoints that are whole or do not exist.

Owns their layout, commit, verification, choice and removal. A checkpoint is a folder ``step-<n>`` of safetensors and
JSON with a manifest put last; nothing in it is ever unpickled. Which one is newest is computed from what verifies,
never read from a pointer.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from torch import Tensor

from daybreak_contracts import artifacts, staging, storage
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_train import places
from daybreak_train.checkpoints import pieces, tensor_files
from daybreak_train.checkpoints.parts import WHOLE, Part, holders, rows_of
from daybreak_train.places import LEDGER, MANIFEST, STATE

FORMAT = 1
MODEL, OPTIMIZER = "model", "optimizer"
Report = Callable[[str], None]
Accepts = Callable[["Snapshot"], bool]
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z]+(-\d{5})?\.(safetensors|json|jsonl)$")]
"""A plain name: a manifest may come from anywhere and must not lead out of its folder."""


class CheckpointFile(BaseModel):
    """One file of a checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int
    sha256: str


class CheckpointManifest(BaseModel):
    """What a checkpoint holds and which run it belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    step: int
    run: str
    """Digest of the run: a checkpoint is only ever loaded by the same work."""
    files: dict[FileName, CheckpointFile]
    parts: int = Field(default=1, ge=1)
    """How many processes wrote a part each; of more than one, ``model-<part>.safetensors`` holds a part's rows."""


@dataclass(frozen=True)
class Snapshot:
    """The state of a run between two steps, in main memory."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    """Group (``model``, ``optimizer``, ``random``) to its tensors."""
    state: Mapping[str, Any]
    """All that is not a tensor, as JSON."""
    ledger: bytes = field(default=b"", repr=False)
    """The run's ledger up to this step."""
    part: Part = WHOLE
    """Which rows of its cut tensors it holds."""
    totals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Group to its cut tensors and the rows that each has over all parts."""

    @property
    def size(self) -> int:
        """Bytes of its tensors and its ledger."""
        tensors = (tensor for group in self.tensors.values() for tensor in group.values())
        return len(self.ledger) + sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def uri_of(folder: str, step: int) -> str:
    """Return where the checkpoint before step ``step`` lies."""
    return storage.join(folder, places.step_folder(step))


def write(folder: str, snapshot: Snapshot, run: str, work_dir: str) -> str:
    """Commit a checkpoint and return its URI. Killed at any moment, it is there whole or not at all."""
    target = uri_of(folder, snapshot.step)
    parent = Path(work_dir) if storage.is_remote(folder) else storage.local_path(folder)
    with storage.translated(target):
        staged = staging.make(parent)
        try:
            files = stage(staged, snapshot)
            seal(staged, CheckpointManifest(format=FORMAT, step=snapshot.step, run=run, files=files))
            if storage.is_remote(folder):
                storage.remove_file(storage.join(target, MANIFEST))
                upload(staged, target)
            else:
                publish(staged, storage.local_path(target))
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return target


def stage(folder: Path, snapshot: Snapshot) -> dict[str, CheckpointFile]:
    """Write one process's files into a local folder and return what the manifest says of them.

    Of several processes each writes its rows of the cut tensors, and the first one all the rest.
    """
    _expect_finite(snapshot)
    written = []
    for group, tensors in snapshot.tensors.items():
        if snapshot.part.is_whole or group in snapshot.totals:
            written.append(folder / file_of(group, snapshot.part))
            tensor_files.save(tensors, written[-1], _rows(snapshot, group))
        elif snapshot.part.index == 0:
            written.append(folder / f"{group}.safetensors")
            tensor_files.save(tensors, written[-1])
    if snapshot.part.index == 0:
        written += [folder / STATE, folder / LEDGER]
        (folder / STATE).write_text(json.dumps(snapshot.state, sort_keys=True))
        (folder / LEDGER).write_bytes(snapshot.ledger)
    files = {}
    for path in written:
        files[path.name] = CheckpointFile(size=path.stat().st_size, sha256=artifacts.digest_of_file(path))
        _sync(path)
    return files


def file_of(group: str, part: Part) -> str:
    """Return the name of the file with a part's rows of a group."""
    return f"{group}.safetensors" if part.is_whole else f"{group}-{part.index:05}.safetensors"


def _rows(snapshot: Snapshot, group: str) -> dict[str, str] | None:
    """Return what a part's file says of its rows; a whole one need not say anything."""
    if snapshot.part.is_whole:
        return None
    cut = {name: [*rows_of(total, snapshot.part), total] for name, total in snapshot.totals[group].items()}
    return {pieces.ROWS: json.dumps(cut, sort_keys=True)}


def seal(folder: Path, manifest: CheckpointManifest) -> None:
    """Put the manifest beside the files of a staged checkpoint: it is whole now."""
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2))
    _sync(folder / MANIFEST)
    _sync(folder)


def _expect_finite(snapshot: Snapshot) -> None:
    """Refuse to keep what no training can go on from: it would push good checkpoints out."""
    for group in (MODEL, OPTIMIZER):
        for name, tensor in snapshot.tensors.get(group, {}).items():
            if not bool(tensor.isfinite().all()):
                raise UserError(
                    f"step {snapshot.step}: {group} tensor {name} is not finite, no checkpoint was written; run again "
                    "to go on from the last one, and lower training.schedule.peakRate if it comes again"
                )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def publish(staged: Path, target: Path) -> None:
    """Let a staged checkpoint appear under its name, by one rename."""
    if target.exists():  # a torn one of the same step
        _remove(target)
    staged.rename(target)
    _sync(target.parent)


def _remove(folder: Path) -> None:
    """Take a folder out of sight by one rename before its files go: it is never seen half there."""
    grave = staging.make(folder.parent)
    folder.rename(grave / folder.name)
    shutil.rmtree(grave, ignore_errors=True)


def upload(staged: Path, target: str) -> None:
    """Send a process's staged files to object storage, a manifest last."""
    for path in sorted(staged.iterdir(), key=lambda path: (path.name == MANIFEST, path.name)):
        storage.copy_file(str(path), storage.join(target, path.name))


def steps_in(folder: str) -> list[int]:
    """Return the steps of all checkpoints that have a manifest, newest first; says nothing about validity."""
    found = set()
    for name in storage.list_files(folder):
        head, _, tail = name.partition("/")
        step = places.step_in(head)
        if step is not None and tail == MANIFEST:
            found.add(step)
    return sorted(found, reverse=True)


def newest(folder: str, run: str, report: Report, accepts: Accepts = lambda _: True) -> Snapshot | None:
    """Load the newest checkpoint of this run that verifies; every one that does not is reported and passed over.

    One that ``accepts`` refuses is whole but of no use any more, and removed. None means that there is no other.
    Checkpoints of which none verifies are an ArtifactError: a run must not start over in silence.
    """
    invalid = 0
    for step in steps_in(folder):
        try:
            found = read(uri_of(folder, step), run)
        except UserError as error:
            report(f"checkpoint passed over: {error}")
            invalid += 1
            continue
        if accepts(found):
            return found
        undone(folder, step, report)
    refuse_to_start_over(folder, invalid)
    return None


def undone(folder: str, step: int, report: Report) -> None:
    """Remove a checkpoint that is whole but of no use any more."""
    report(f"checkpoint of step {step} removed: it holds updates that were left out since")
    remove(folder, step)


def refuse_to_start_over(folder: str, invalid: int) -> None:
    """Raise an ArtifactError when there are checkpoints, of which none was valid."""
    if invalid:
        raise ArtifactError(
            f"{folder}: none of the {invalid} checkpoints is valid; remove the folder to train from the start"
        )


def read(uri: str, run: str) -> Snapshot:
    """Verify one checkpoint and load it into main memory. Anything that does not fit is an ArtifactError."""
    return read_part(uri, manifest_of(uri, run), WHOLE, ())


def read_part(uri: str, manifest: CheckpointManifest, mine: Part, totals: Iterable[int]) -> Snapshot:
    """Verify and load what one process needs to go on: its rows of every tensor, from the files that hold some.

    ``totals`` are the rows of the tensors that are cut. Whoever wrote the checkpoint, and with how many processes.
    """
    wanted = _wanted(manifest, mine, totals)
    contents = {
        name: verified(storage.join(uri, name), manifest.files[name])
        for name in manifest.files
        if wanted is None or name in wanted
    }
    if {STATE, LEDGER} - contents.keys():
        raise ArtifactError(f"{uri}: {STATE} or {LEDGER} is not listed in its manifest")
    state, ledger = contents.pop(STATE), contents.pop(LEDGER)
    try:
        tensors, cut = pieces.joined(contents, mine, manifest.parts)
        return Snapshot(manifest.step, tensors, json.loads(state), ledger, mine, cut)
    except ValueError as error:
        raise ArtifactError(f"{uri}: not a checkpoint of ours ({error})") from error


def _wanted(manifest: CheckpointManifest, mine: Part, totals: Iterable[int]) -> set[str] | None:
    """Return the files that one process reads; None for all of them."""
    if mine.is_whole or manifest.parts == 1:
        return None
    parts = {Part(index, manifest.parts) for index in holders(totals, mine, manifest.parts)}
    cut = {name for name in manifest.files if pieces.IS_PART.search(name)}
    return {
        name for name in manifest.files if name not in cut or pieces.part_in(name, manifest.parts) in parts
    }


def manifest_of(uri: str, run: str) -> CheckpointManifest:
    """Return the manifest of a checkpoint of this run; one of another run is an ArtifactError."""
    manifest = _manifest(uri)
    if manifest.run != run:
        raise ArtifactError(f"{uri}: belongs to another run ({manifest.run[:16]}), this one is {run[:16]}")
    return manifest


def _manifest(uri: str) -> CheckpointManifest:
    try:
        manifest = CheckpointManifest.model_validate(storage.read_json(storage.join(uri, MANIFEST)))
    except ValidationError as error:
        raise ArtifactError(f"{uri}: {MANIFEST} is not one of ours") from error
    if manifest.format != FORMAT:
        raise ArtifactError(f"{uri}: format {manifest.format} is unknown here, this version reads {FORMAT}")
    return manifest


def verified(location: str, entry: CheckpointFile) -> bytes:
    """Return the bytes of a file that are those of its commit; anything else is an ArtifactError."""
    data = storage.read_bytes(location)
    if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
        raise ArtifactError(f"{location}: torn or changed after it was committed")
    return data


def prune(folder: str, keep: int, good_until: int | None = None, trunk: int | None = None) -> None:
    """Remove all but the newest ``keep`` checkpoints, the newest up to step ``good_until``, and the ``trunk``."""
    steps = steps_in(folder)
    spared = next((step for step in steps if good_until is not None and step <= good_until), None)
    for step in steps[keep:]:
        if step not in (spared, trunk):
            remove(folder, step)


def remove(folder: str, step: int) -> None:
    """Remove a checkpoint, the manifest first so that it is never half there."""
    uri = uri_of(folder, step)
    if storage.is_remote(uri):
        storage.remove_file(storage.join(uri, MANIFEST))
        storage.remove_tree(uri)
    else:
        with storage.translated(uri):
            _remove(storage.local_path(uri))
