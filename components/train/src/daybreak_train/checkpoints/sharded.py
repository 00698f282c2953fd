"""Checkpoints of which every process writes and reads its part.

Owns the order in which the processes act: nothing is visible before all parts are whole, and a part that is torn makes
its checkpoint invalid for all. What lies in a checkpoint, ``snapshots`` says.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from daybreak_contracts import errors, staging, storage
from daybreak_contracts.errors import TransientError, UserError
from daybreak_train import places
from daybreak_train.checkpoints import snapshots
from daybreak_train.checkpoints.peers import PartHolders
from daybreak_train.checkpoints.snapshots import Accepts, CheckpointFile, CheckpointManifest, Report, Snapshot


def write(folder: str, snapshot: Snapshot, run: str, work_dir: str, peers: PartHolders) -> None:
    """Commit a checkpoint together: all write, all report, and the leader puts the manifest last.

    Returns on the leader when it is committed, elsewhere when all parts are written. Killed at any moment, whoever is
    killed, it is there whole or not at all.
    """
    target = snapshots.uri_of(folder, snapshot.step)
    remote, leads = storage.is_remote(folder), peers.part.index == 0
    parent = Path(work_dir) if remote else storage.local_path(folder)
    staged, failure = _begun(parent, target, leads=leads, remote=remote)
    try:
        place = peers.from_leader(None if staged is None else str(staged))
        if failure is not None:
            raise failure
        if place is None:
            raise TransientError(f"{target}: rank 0 could not begin a checkpoint")
        if staged is None and remote:
            staged = staging.make(parent)
        mine = Path(place) if staged is None else staged
        files = _together(target, mine, snapshot, peers, remote=remote)
        if leads:
            _commit(target, mine, snapshot, run, files)
    finally:
        if staged is not None:
            shutil.rmtree(staged, ignore_errors=True)


def _begun(parent: Path, target: str, *, leads: bool, remote: bool) -> tuple[Path | None, Exception | None]:
    """Make the leader's folder: the others' too on a shared disk. An error is told only after they heard of it."""
    if not leads:
        return None, None
    try:
        with storage.translated(target):
            if remote:
                storage.remove_file(storage.join(target, places.MANIFEST))
            return staging.make(parent), None
    except Exception as error:  # noqa: BLE001 - raised by the caller, when nobody waits for us any more
        return None, error


def _together(
    target: str, mine: Path, snapshot: Snapshot, peers: PartHolders, *, remote: bool
) -> dict[str, CheckpointFile]:
    """Write this process's part and wait for the others'; return all files, or raise what one of them met."""
    report: tuple[dict[str, CheckpointFile], dict[str, Any] | None]
    try:
        with storage.translated(target):
            if not mine.is_dir():
                raise UserError(
                    f"{target}: is not shared between the machines; name a shared volume or object storage as output"
                )
            files = snapshots.stage(mine, snapshot)
            if remote:
                snapshots.upload(mine, target)
        report, failure = (files, None), None
    except Exception as error:  # noqa: BLE001 - the others wait for a word; it is raised below
        report, failure = ({}, errors.document_of(error)), error
    reports = peers.of_all(report)
    if failure is not None:
        raise failure
    for rank, (_, failed) in enumerate(reports):
        if failed is not None:
            raise errors.read({**failed, "message": f"rank {rank}: {failed['message']}"})
    return {name: entry for found, _ in reports for name, entry in found.items()}


def _commit(target: str, mine: Path, snapshot: Snapshot, run: str, files: dict[str, CheckpointFile]) -> None:
    manifest = CheckpointManifest(
        format=snapshots.FORMAT, step=snapshot.step, run=run, files=files, parts=snapshot.part.count
    )
    with storage.translated(target):
        snapshots.seal(mine, manifest)
        if storage.is_remote(target):
            storage.copy_file(str(mine / places.MANIFEST), storage.join(target, places.MANIFEST))
        else:
            snapshots.publish(mine, storage.local_path(target))


def newest(
    folder: str,
    run: str,
    totals: Iterable[int],
    peers: PartHolders,
    report: Report,
    *,
    accepts: Accepts = lambda _: True,
) -> Snapshot | None:
    """Load this process's part of the newest checkpoint whose every part verifies; all processes take the same one.

    ``totals`` are the rows of the model's tensors. One that does not verify on any process is reported by the leader
    and passed over; one that the leader's ``accepts`` refuses is removed. None means that there is no other.
    """
    leads = peers.part.index == 0
    rows, invalid = tuple(totals), 0
    steps: list[int] = peers.from_leader(snapshots.steps_in(folder) if leads else None)
    for step in steps:
        uri = snapshots.uri_of(folder, step)
        found, words = None, ""
        try:
            found = snapshots.read_part(uri, snapshots.manifest_of(uri, run), peers.part, rows)
        except UserError as error:
            words = str(error)
        said = [text for text in peers.of_all(words) if text]
        if said:
            invalid += 1
            if leads:
                report(f"checkpoint passed over: {said[0]}")
            continue
        if peers.from_leader(leads and found is not None and accepts(found)):
            return found
        if leads:
            snapshots.undone(folder, step, report)
    snapshots.refuse_to_start_over(folder, invalid)
    return None
