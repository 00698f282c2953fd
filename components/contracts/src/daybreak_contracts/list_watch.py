"""The list-watch protocol of the Kubernetes API without its I/O: what to ask, what a line means, where to go on.

A client lists a collection, then watches it from the list's resource version on. Bookmarks keep that place fresh; a
place that is too old for the server (410) begins with a new list. Standard library only: threads and asyncio use it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GONE = 410
BOOKMARK = "BOOKMARK"


@dataclass(frozen=True)
class BackOff:
    """Exponential, with jitter: the n-th delay lies between half of it and all of base * 2^(n-1), at most cap."""

    base_s: float = 0.5
    cap_s: float = 60.0

    def delay_s(self, attempt: int, chance: float) -> float:
        """Return the delay after ``attempt`` failures in a row (from 1); ``chance`` lies in [0, 1)."""
        whole = min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, 30))
        return whole * (0.5 + chance / 2)


@dataclass(frozen=True)
class WatchEvent:
    """One line of a watch."""

    kind: str
    """``ADDED``, ``MODIFIED``, ``DELETED`` or ``BOOKMARK``."""
    body: dict[str, Any]

    @property
    def is_change(self) -> bool:
        """Whether it is about an object, and not only about the place to go on from."""
        return self.kind != BOOKMARK

    @property
    def version(self) -> str:
        """The place to go on from after this event."""
        return str(self.body["metadata"]["resourceVersion"])


class WatchError(Exception):
    """The server ended a watch by an ERROR event; ``status`` is what it says."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        super().__init__(str(status.get("message") or "no reason given"))
        self.status = status
        self.code = int(status.get("code") or 500)


def watch_query(version: str, timeout_s: int) -> dict[str, str]:
    """Return the query of a watch from ``version`` on, which the server is to end after ``timeout_s``."""
    return {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(timeout_s),
    }


def parse_event(line: str | bytes) -> WatchEvent:
    """Return what a line of a watch says; WatchError for an ERROR event, ValueError for what is no event."""
    try:
        document = json.loads(line)
        kind, body = str(document["type"]), document["object"]
        if kind == "ERROR":
            raise WatchError(body)
        event = WatchEvent(kind, body)
        _ = event.version
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an event of a watch: {line[:200]!r}") from error
    return event


@dataclass
class WatchPosition:
    """Where one followed collection stands: from which version to watch, and how often in a row that failed."""

    version: str = ""
    """Empty: a list comes first."""
    failures: int = 0

    @property
    def must_list(self) -> bool:
        """Whether there is no place to watch from."""
        return not self.version

    def reached(self, version: str) -> None:
        """A list, an event or a bookmark brought us here."""
        self.version = version

    def answered(self) -> None:
        """The server answers: the next failure is the first again."""
        self.failures = 0

    def failed(self, code: int | None = None) -> None:
        """A list or watch broke; code 410 takes the place away."""
        self.failures += 1
        if code == GONE:
            self.version = ""

    def pause_s(self, back_off: BackOff, chance: float) -> float:
        """Return for how long to wait before the next try; ``chance`` lies in [0, 1)."""
        return back_off.delay_s(max(1, self.failures), chance)
