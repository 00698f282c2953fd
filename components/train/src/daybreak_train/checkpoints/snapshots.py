"""Checkpoints that are whole or do not exist.

Owns their layout, commit, verification, choice and removal. A checkpoint is a folder ``step-<n>`` of safetensors and
JSON with a manifest put last; nothing in it is ever unpickled. Which one is newest is computed from what verifies,
never read from a pointer.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from daybreak_contracts import artifacts, staging, storage
from daybreak_contracts.errors import ArtifactError, UserError
from daybreak_train.checkpoints import tensor_files

FORMAT = 1
MODEL, OPTIMIZER = "model", "optimizer"
MANIFEST = "manifest.json"
STATE = "state.json"
LEDGER = "ledger.jsonl"
_NAME = re.compile(r"step-(\d{12})")
Report = Callable[[str], None]
Accepts = Callable[["Snapshot"], bool]
FileName = Annotated[str, StringConstraints(pattern=r"^[a-z]+\.(safetensors|json|jsonl)$")]
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

    @property
    def size(self) -> int:
        """Bytes of its tensors and its ledger."""
        tensors = (tensor for group in self.tensors.values() for tensor in group.values())
        return len(self.ledger) + sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def uri_of(folder: str, step: int) -> str:
    """Return where the checkpoint before step ``step`` lies."""
    return storage.join(folder, f"step-{step:012d}")


def write(folder: str, snapshot: Snapshot, run: str, work_dir: str) -> str:
    """Commit a checkpoint and return its URI. Killed at any moment, it is there whole or not at all."""
    target = uri_of(folder, snapshot.step)
    parent = Path(work_dir) if storage.is_remote(folder) else storage.local_path(folder)
    with storage.translated(target):
        staged = staging.make(parent)
        try:
            _stage(staged, snapshot, run)
            if storage.is_remote(folder):
                _upload(staged, target)
            else:
                _publish(staged, storage.local_path(target))
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return target


def _stage(folder: Path, snapshot: Snapshot, run: str) -> None:
    _expect_finite(snapshot)
    for group, tensors in snapshot.tensors.items():
        tensor_files.save(tensors, folder / f"{group}.safetensors")
    (folder / STATE).write_text(json.dumps(snapshot.state, sort_keys=True))
    (folder / LEDGER).write_bytes(snapshot.ledger)
    files = {}
    for path in sorted(folder.iterdir()):
        files[path.name] = CheckpointFile(size=path.stat().st_size, sha256=artifacts.digest_of_file(path))
        _sync(path)
    manifest = CheckpointManifest(format=FORMAT, step=snapshot.step, run=run, files=files)
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


def _publish(staged: Path, target: Path) -> None:
    if target.exists():  # a torn one of the same step
        _remove(target)
    staged.rename(target)
    _sync(target.parent)


def _remove(folder: Path) -> None:
    """Take a folder out of sight by one rename before its files go: it is never seen half there."""
    grave = staging.make(folder.parent)
    folder.rename(grave / folder.name)
    shutil.rmtree(grave, ignore_errors=True)


def _upload(staged: Path, target: str) -> None:
    storage.remove_file(storage.join(target, MANIFEST))
    for path in sorted(staged.iterdir(), key=lambda path: (path.name == MANIFEST, path.name)):
        storage.copy_file(str(path), storage.join(target, path.name))


def steps_in(folder: str) -> list[int]:
    """Return the steps of all checkpoints that have a manifest, newest first; says nothing about validity."""
    found = set()
    for name in storage.list_files(folder):
        head, _, tail = name.partition("/")
        match = _NAME.fullmatch(head)
        if match and tail == MANIFEST:
            found.add(int(match.group(1)))
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
        report(f"checkpoint of step {step} removed: it holds updates that were left out since")
        remove(folder, step)
    if invalid:
        raise ArtifactError(
            f"{folder}: none of the {invalid} checkpoints is valid; remove the folder to train from the start"
        )
    return None


def read(uri: str, run: str) -> Snapshot:
    """Verify one checkpoint and load it into main memory. Anything that does not fit is an ArtifactError."""
    manifest = _manifest(uri)
    if manifest.run != run:
        raise ArtifactError(f"{uri}: belongs to another run ({manifest.run[:16]}), this one is {run[:16]}")
    contents = {name: _verified(storage.join(uri, name), entry) for name, entry in manifest.files.items()}
    if {STATE, LEDGER} - contents.keys():
        raise ArtifactError(f"{uri}: {STATE} or {LEDGER} is not listed in its manifest")
    state, ledger = contents.pop(STATE), contents.pop(LEDGER)
    try:
        tensors = {name.removesuffix(".safetensors"): load(data) for name, data in contents.items()}
        return Snapshot(step=manifest.step, tensors=tensors, state=json.loads(state), ledger=ledger)
    except (SafetensorError, ValueError) as error:
        raise ArtifactError(f"{uri}: not a checkpoint of ours ({error})") from error


def _manifest(uri: str) -> CheckpointManifest:
    try:
        manifest = CheckpointManifest.model_validate(storage.read_json(storage.join(uri, MANIFEST)))
    except ValidationError as error:
        raise ArtifactError(f"{uri}: {MANIFEST} is not one of ours") from error
    if manifest.format != FORMAT:
        raise ArtifactError(f"{uri}: format {manifest.format} is unknown here, this version reads {FORMAT}")
    return manifest


def _verified(location: str, entry: CheckpointFile) -> bytes:
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
