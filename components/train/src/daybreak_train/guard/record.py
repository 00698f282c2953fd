"""The guard's memory beside the checkpoints: written before the training goes on, so that no kill undoes a decision.

Owns the file. A checkpoint that holds an update which was left out since is no checkpoint of this training any more:
``fits`` tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from daybreak_contracts import storage
from daybreak_contracts.errors import ArtifactError
from daybreak_train import places
from daybreak_train.guard.events import GuardEvent
from daybreak_train.guard.policy import Past

FORMAT = 1


def load(folder: str, run: str) -> Past:
    """Return what was decided in this run so far."""
    uri = storage.join(folder, places.GUARD)
    if not storage.exists(uri):
        return Past()
    try:
        stored: Mapping[str, Any] = storage.read_json(uri)
        if (stored["format"], stored["run"]) != (FORMAT, run):
            raise ValueError(f"format {stored['format']} of run {str(stored['run'])[:16]}")
        return past_of(stored["events"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{uri}: not the guard's record of this run ({error}); remove the folder to train from the start"
        ) from error


def save(folder: str, run: str, past: Past) -> None:
    """Commit all events; killed at any moment, the old record is there or the new one."""
    document = {"format": FORMAT, "run": run, "events": [event.to_json() for event in past.events]}
    storage.write_json(storage.join(folder, places.GUARD), document)


def past_of(events: Iterable[Mapping[str, Any]]) -> Past:
    """Return events from their JSON."""
    return Past(tuple(GuardEvent.from_json(event) for event in events))


def fits(past: Past, step: int, left_out: Iterable[int]) -> bool:
    """Tell whether a checkpoint after ``step``, which left ``left_out`` out, left out all that has to be."""
    return set(left_out) == {out for out in past.left_out if out <= step}
