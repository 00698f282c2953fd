"""Whose the checkpoints of a run are in object storage, where no file can be locked.

Owns ``writer.json`` beside them: the training that began last puts its mark there, and every other one stops before its
next checkpoint. That may be a pod of an earlier attempt on a machine that nobody reaches any more, or a second run of
the same training in another cluster; of two that write, each would remove and rewind what the other relies on.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from daybreak_contracts import storage
from daybreak_contracts.errors import TransientError
from daybreak_train import places


@dataclass(frozen=True)
class WriterMark:
    """What says that a folder of checkpoints is this process's."""

    folder: str
    token: str
    """Names the process; empty on a disk, where a lock holds the folder."""

    def check(self) -> None:
        """Raise a TransientError when another training took the folder over."""
        if not self.token or not storage.exists(_location(self.folder)):
            return  # a mark that somebody removed says nothing against us
        found = storage.read_json(_location(self.folder))
        if found["writer"] != self.token:
            other = found["runName"] or "another run"
            raise TransientError(
                f"{self.folder}: a training that began later, of {other}, writes here, so this one stops; if both are "
                "to train, give one another spec.output.uri or spec.seed, else delete one of the two runs"
            )


def take(folder: str, run_name: str) -> WriterMark:
    """Make a folder of checkpoints this process's, whosever it was."""
    if not storage.is_remote(folder):
        return WriterMark(folder, "")
    mark = WriterMark(folder, uuid.uuid4().hex)
    storage.write_json(_location(folder), {"writer": mark.token, "runName": run_name})
    return mark


def _location(folder: str) -> str:
    return storage.join(folder, places.WRITER)
