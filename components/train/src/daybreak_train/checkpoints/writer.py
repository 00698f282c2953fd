"""Writes checkpoints beside the training: one thread, one checkpoint at a time.

Owns the lock that keeps two trainings of the same run apart, the copy that is written and the thread that writes it.
What a checkpoint is, ``checkpoints`` says.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Self

from torch import Tensor

from daybreak_contracts import storage
from daybreak_contracts.errors import DaybreakError, TransientError
from daybreak_contracts.storage_errors import NO_SPACE
from daybreak_train.checkpoints import ownership, sharded, snapshots, space, trunk
from daybreak_train.checkpoints.ownership import Owner
from daybreak_train.checkpoints.parts import WHOLE
from daybreak_train.checkpoints.peers import PartHolders
from daybreak_train.checkpoints.trunk import Trunk


@dataclass(frozen=True)
class CheckpointStore:
    """Where the checkpoints of one run lie and how many stay."""

    folder: str
    run: str
    work_dir: str
    keep: int
    owner: Owner = field(default_factory=Owner)
    """Whose training it is, for another one that wants the same checkpoints."""


class CheckpointWriter:
    """Takes snapshots and commits them in the background; the training waits only for the copy."""

    def __init__(self, store: CheckpointStore, peers: PartHolders | None = None) -> None:
        """Write alone, or each a part with the other processes of a sharded training."""
        self._store, self.peers = store, peers
        self._leads = peers is None or peers.part.index == 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._lock = _lock(store.folder) if self._leads else None
        mark = ownership.take(store.folder, store.owner) if self._leads else None
        self._mark = mark.beating() if mark is not None else None
        self.part = WHOLE if peers is None else peers.part
        """What every snapshot must hold: this process's part."""
        self.committed_step = 0
        """The newest checkpoint of this process that is whole; read by another thread."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if self._mark is not None:
            with contextlib.suppress(DaybreakError):  # whoever wants the folder then waits a little
                self._mark.release()
        if self._lock is not None:
            self._lock.close()
        if kind is None:
            self.wait()

    def save(
        self, snapshot: snapshots.Snapshot, good_until: int | None = None, kept: Trunk | None = None
    ) -> float:
        """Start writing and return the seconds that the caller was held up (an earlier write may be unfinished).

        While steps are out of line, the last checkpoint from before, up to step ``good_until``, stays whatever comes.
        With ``kept`` it is the one that longer runs go on from, and stays.
        """
        started = time.perf_counter()
        self.wait()
        self._pending = self._thread.submit(self._write, snapshot, good_until, kept)
        return time.perf_counter() - started

    def wait(self) -> None:
        """Return when the last checkpoint is committed; its error, if any, comes out here."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _write(self, snapshot: snapshots.Snapshot, good_until: int | None, kept: Trunk | None) -> None:
        store = self._store
        if self._mark is not None:
            self._mark.check()
        if kept is not None and self._leads:
            trunk.record(store.folder, kept)
        try:
            if self.peers is None:
                snapshots.write(store.folder, snapshot, store.run, store.work_dir)
            else:
                sharded.write(store.folder, snapshot, store.run, store.work_dir, self.peers)
        except TransientError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in NO_SPACE:
                raise TransientError(
                    space.when_full(store.folder, snapshot.size * snapshot.part.count, store.keep)
                ) from error
            raise
        if self._leads:
            self.committed_step = snapshot.step
            snapshots.prune(store.folder, store.keep, good_until, trunk.kept_step(store.folder))


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies in main memory that further training does not touch."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _lock(folder: str) -> IO[str] | None:
    """Hold the run for this process; the system lets go of it when the process ends, however it ends."""
    if storage.is_remote(folder):
        return None
    path = storage.local_path(folder) / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.close()
        raise TransientError(
            f"{folder}: another training of this run is at work; wait for it or stop it"
        ) from error
    return handle
