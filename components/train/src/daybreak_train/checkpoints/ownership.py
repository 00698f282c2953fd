"""Whose the checkpoints of a run are in object storage, where no file can be locked.

Owns ``writer.json`` beside them. It names the run that writes, and its process, and changes every few seconds while
that process lives. A later attempt of the same run takes it over at once: the pod of an earlier one, on a machine that
nobody reaches any more, then stops before its next checkpoint. Another run (the same training in another cluster)
waits for the mark to stand still, and gives up for good when it does not: of two that write, each would remove and
rewind what the other relies on.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from daybreak_contracts import storage
from daybreak_contracts.errors import DaybreakError, TransientError, UserError
from daybreak_train import places

BEAT_S = 20.0
SILENCE_S = 90.0
"""A mark that stands still for so long is of a training that is gone: four changes are missing, not one."""
PATIENCE_S = 240.0
"""How long another run's training is given to end, as one that was asked to stop does; the operator's own patience with
a training that makes no step is 300 s."""
POLL_S = 5.0
REMEDY = (
    "if both are to train, give one another spec.output.uri or spec.seed, else delete one of the two runs"
)


@dataclass(frozen=True)
class Owner:
    """Whose a training is."""

    name: str = ""
    """What the run is called: two clusters may have one of the same name."""
    uid: str = ""
    """The same for all attempts of one run, and of no other run anywhere."""


@dataclass(frozen=True)
class Waiting:
    """How time passes, as something to be given."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class WriterMark:
    """What says that a folder of checkpoints is this process's; it changes from time to time until it is let go of."""

    def __init__(self, folder: str, owner: Owner) -> None:
        self._folder, self._owner, self._token = folder, owner, uuid.uuid4().hex
        self._beats = 0
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._put()

    def beating(self) -> Self:
        """Let it change by itself from now on, while this process lives."""
        threading.Thread(target=self._beat_on, name="checkpoint-mark", daemon=True).start()
        return self

    def check(self) -> None:
        """Raise when another training has the folder: for good where that is another run's, or another owner's."""
        with self._turn:
            held = _held(self._folder)
            if held is None or held["writer"] == self._token:
                return  # a mark that somebody removed says nothing against us
            self._ended.set()
        if held.get("runUid", "") in ("", self._owner.uid):
            raise TransientError(
                f"{self._folder}: a training that began later, of {_called(held)}, writes here, so this one stops; "
                f"{REMEDY}"
            )
        raise UserError(
            f"{self._folder}: the same training, of {_called(held)}, took these checkpoints over while this one "
            f"was silent for {SILENCE_S:.0f} s, so this one stops for good; {REMEDY}"
        )

    def beat(self) -> None:
        """Change the mark once, if it is still ours or nobody's."""
        with self._turn:
            held = _held(self._folder)
            if held is None or held["writer"] == self._token:
                self._put()

    def release(self) -> None:
        """Let go of the folder: whoever waits for it waits no longer."""
        with self._turn:
            self._ended.set()
            held = _held(self._folder)
            if held is not None and held["writer"] == self._token:
                storage.remove_file(_location(self._folder))

    def _beat_on(self) -> None:
        while not self._ended.wait(BEAT_S):
            with contextlib.suppress(DaybreakError):  # storage that is away now may be there the next time
                self.beat()

    def _put(self) -> None:
        self._beats += 1
        said = {"writer": self._token, "runName": self._owner.name, "runUid": self._owner.uid}
        storage.write_json(_location(self._folder), {**said, "beat": self._beats})


def take(folder: str, owner: Owner, waiting: Waiting | None = None) -> WriterMark | None:
    """Make a folder of checkpoints this process's; None on a disk, where a lock holds it.

    While another run's training has it, wait for that to end; a UserError when it goes on.
    """
    if not storage.is_remote(folder):
        return None
    _wait_for_another_run(folder, owner, waiting or Waiting())
    return WriterMark(folder, owner)


def _wait_for_another_run(folder: str, owner: Owner, waiting: Waiting) -> None:
    began = changed = waiting.now()
    first = seen = _held(folder)
    while (held := _held(folder)) is not None and held.get("runUid", "") not in ("", owner.uid):
        now = waiting.now()
        if held != seen:
            seen, changed = held, now
        if now - changed >= SILENCE_S:
            return
        if now - began >= PATIENCE_S and now - changed < 2 * BEAT_S:
            raise UserError(
                f"{folder}: the same training is at work here, of {_called(held)}, so this one stops for good; "
                f"{REMEDY}"
            )
        if first is not None:
            print(f"train: waits for {_called(held)}, whose mark is in {folder}", file=sys.stderr)
            first = None
        waiting.sleep(POLL_S)


def _called(held: dict[str, Any]) -> str:
    name, uid = held.get("runName") or "another run", held.get("runUid")
    return f"{name} (uid {uid})" if uid else str(name)


def _held(folder: str) -> dict[str, Any] | None:
    """Return the mark as it is; None where there is none."""
    try:
        found: dict[str, Any] = storage.read_json(_location(folder))
    except UserError:
        if storage.exists(_location(folder)):
            raise
        return None
    return found


def _location(folder: str) -> str:
    return storage.join(folder, places.WRITER)
