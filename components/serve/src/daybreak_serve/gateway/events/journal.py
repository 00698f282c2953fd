"""What became of suggestions: shown, accepted, retained; joined with what the gateway itself recorded.

A client names a completion by its id; model, language and length come from the record, never from the client.
Owns the log's lines, not the HTTP around them.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from daybreak_serve.gateway.http.problems import ApiProblem, invalid
from daybreak_serve.gateway.http.requests import parse_object

RETAINED_AFTER_S = (30, 120, 300, 600)
"""When a client looks whether the text is still there (Ziegler et al., arXiv 2205.06537)."""
MAX_BATCH = 100


class SuggestionEvent(BaseModel):
    """One thing that happened to one suggestion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    completion_id: Annotated[str, Field(min_length=1, max_length=64)]
    event: Literal["shown", "accepted", "partiallyAccepted", "dismissed", "retained"]
    characters: Annotated[int, Field(ge=0)] | None = None
    """Accepted or retained; needed for the partial and the retained, known for the rest."""
    after_s: int | None = None
    """For retained: how long after the acceptance."""

    @model_validator(mode="after")
    def _fields_fit_the_event(self) -> SuggestionEvent:
        if (self.event in ("partiallyAccepted", "retained")) != (self.characters is not None):
            raise ValueError("characters belongs to partiallyAccepted and retained, and only there")
        if (self.event == "retained") != (self.after_s is not None):
            raise ValueError("after_s belongs to retained, and only there")
        if self.after_s is not None and self.after_s not in RETAINED_AFTER_S:
            raise ValueError(
                f"after_s must be one of {', '.join(map(str, RETAINED_AFTER_S))}, got {self.after_s}"
            )
        return self


class EventBatch(BaseModel):
    """Many events at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    events: Annotated[list[SuggestionEvent], Field(min_length=1, max_length=MAX_BATCH)]


@dataclass(slots=True)
class Record:
    """What the gateway knows of a completion."""

    model: str
    model_digest: str
    language: str
    user: str | None
    """Pseudonym, see `user_hash`."""
    num_characters: int
    seen: tuple[tuple[str, int | None], ...] = ()


def parse_events(body: bytes) -> list[SuggestionEvent]:
    """Return the events of a body: one object, or ``{"events": [...]}``; a `ApiProblem` tells what is wrong."""
    try:
        is_batch = "events" in parse_object(body)
        found = (
            EventBatch.model_validate_json(body) if is_batch else SuggestionEvent.model_validate_json(body)
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise invalid(f"{place or 'body'}: {first['msg']}", place or None) from error
    return list(found.events) if isinstance(found, EventBatch) else [found]


class Journal:
    """Completions that events may refer to, the oldest forgotten first, and the log of events."""

    def __init__(self, num_records: int, write: Callable[[str], object]) -> None:
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._num_records = num_records
        self._write = write

    def __len__(self) -> int:
        return len(self._records)

    def remember(self, completion_id: str, record: Record) -> None:
        """Keep a completion for later events."""
        self._records[completion_id] = record
        while len(self._records) > self._num_records:
            self._records.popitem(last=False)

    def find(self, event: SuggestionEvent) -> Record:
        """Return the record of an event's completion and check the event against it."""
        record = self._records.get(event.completion_id)
        if record is None:
            message = f"completion {event.completion_id!r} is not known here, or too old"
            raise ApiProblem(404, message, param="completion_id", code="completion_not_found")
        if event.characters is not None and event.characters > record.num_characters:
            bound = record.num_characters
            raise invalid(
                f"characters must be at most the {bound} suggested, got {event.characters}", "characters"
            )
        return record

    def log(self, event: SuggestionEvent, record: Record, now_s: float) -> bool:
        """Write an event; tell whether it is new. A repeated one (a retry of the client) is neither written."""
        key = (event.event, event.after_s)
        if key in record.seen:
            return False
        record.seen = (*record.seen, key)
        line = {
            "time": round(now_s, 3),
            "completion_id": event.completion_id,
            "event": event.event,
            "characters": characters_of(event, record),
            "after_s": event.after_s,
            "model": record.model,
            "model_digest": record.model_digest,
            "language": record.language,
            "user": record.user,
        }
        self._write(json.dumps(line) + "\n")
        return True


def characters_of(event: SuggestionEvent, record: Record) -> int:
    """Return the characters an event is about; an accepted suggestion was accepted whole."""
    if event.characters is not None:
        return event.characters
    return record.num_characters


def user_hash(user: str | None) -> str | None:
    """Return a stable pseudonym: statistics need to tell users apart, not to know them."""
    if user is None:
        return None
    return hashlib.sha256(user.encode()).hexdigest()[:16]
