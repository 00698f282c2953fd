"""One watch: list, follow, and never fall silent. A thread of its own, because the client blocks.

Owns reconnecting and the watch's sign of life; what an event means is the ``WatchHandler``'s. A stream without an
event or bookmark for ``silence_s`` is dropped and taken up again where it was; a version too old means a new list.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from daybreak_contracts.errors import DaybreakError
from daybreak_contracts.list_watch import BOOKMARK, GONE, BackOff, WatchPosition
from daybreak_operator.shell.kube.answers import GoneError, NotFoundError, RefusedError
from daybreak_operator.shell.kube.client import OPENED, Kube, Selector
from daybreak_operator.shell.kube.resources import ApiResource
from daybreak_operator.shell.watches.store import ListResult

LOG = logging.getLogger(__name__)

SILENCE_S = 50.0
"""A stream that says nothing for so long is dead: the server was asked to end it long before (``STREAM_SHARE``).

Kopf's inactivity timeout is the same. Together with ``Timing.margin_s`` a watch that froze is taken up again, or the
process ends, 76 s after its last sign of life; 90 s are promised.
"""
REOPEN_S = 0.05
"""Between a stream that the server ended and the next: a proxy that ends each at once is not to be hammered."""
ABSENT_S = 60.0
"""How often a kind that the API server doesn't know is asked for again."""


class WatchHandler(Protocol):
    """Who takes in what a watch sees; called in the watch's thread."""

    def listed(self, resource: ApiResource, listed: ListResult) -> None:
        """A fresh list of everything."""

    def event(self, resource: ApiResource, kind: str, body: dict[str, Any]) -> None:
        """ADDED, MODIFIED or DELETED."""


@dataclass
class Reflector:
    """A watch of one collection, from ``start`` to ``stop``."""

    kube: Kube
    resource: ApiResource
    sink: WatchHandler
    selector: Selector = field(default_factory=Selector)
    namespace: str | None = None
    optional: bool = False
    """The kind may be unknown to the API server, or not ours to see: then it is asked for from time to time."""
    silence_s: float = SILENCE_S
    absent_s: float = ABSENT_S
    back_off: BackOff = field(default_factory=lambda: BackOff(0.2, 10.0))
    clock: Callable[[], float] = time.monotonic
    synced: threading.Event = field(default_factory=threading.Event)
    """Set once the first list was handed over, or the kind is absent."""
    absent: bool = False
    restarts: int = 0
    heard: float = 0.0
    """When it last showed a sign of life."""
    last_error: str = ""
    """The newest error, until the next sign of life."""
    _position: WatchPosition = field(default_factory=WatchPosition)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End the thread at the next event or silence."""
        self._stopped.set()

    def start(self) -> None:
        """Begin watching in a thread that doesn't keep the process alive."""
        self.heard = self.clock()
        threading.Thread(target=self._run, name=f"watch-{self.resource.plural}", daemon=True).start()

    def age_s(self) -> float:
        """Seconds since the last sign of life; 0 for an absent kind."""
        return 0.0 if self.absent else self.clock() - self.heard

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._once()
                self._position.answered()
                self._stopped.wait(REOPEN_S)
            except DaybreakError as error:
                if self.optional and _is_not_for_us(error):
                    self._is_absent(error)
                else:
                    self._failed(error)

    def _once(self) -> None:
        if self._position.must_list:
            self._list()
        try:
            stream = self.kube.watch(
                self.resource, self.namespace, self.selector, self._position.version, self.silence_s
            )
            for kind, body in stream:
                if self._stopped.is_set():
                    return
                self._alive(body["metadata"]["resourceVersion"])
                if kind not in (BOOKMARK, OPENED):
                    self.sink.event(self.resource, kind, body)
        except NotFoundError:  # the kind was removed, and may come back with other objects
            self._position.reached("")
            raise

    def _list(self) -> None:
        bodies: list[dict[str, Any]] = []
        newest = ""
        for page, version in self.kube.pages(
            self.resource, self.namespace, self.selector.labels, self.selector.fields
        ):
            bodies += page
            newest = version
            self._alive("")
        self.sink.listed(self.resource, ListResult(bodies, newest, self.namespace))
        self._position.reached(newest)
        self.absent = False
        self.synced.set()

    def _alive(self, version: str) -> None:
        self._position.reached(version)
        self.heard = self.clock()
        self.last_error = ""

    def _is_absent(self, error: DaybreakError) -> None:
        if not self.absent:
            LOG.info("resource kind not served", extra={"kind": self.resource.kind, "error": str(error)})
            self.sink.listed(self.resource, ListResult([], "", self.namespace))
        self.absent = True
        self.synced.set()
        self._stopped.wait(self.absent_s)

    def _failed(self, error: DaybreakError) -> None:
        self._position.failed(GONE if isinstance(error, GoneError) else None)
        self.restarts += 1
        self.last_error = str(error)
        LOG.warning("watch restarted", extra={"kind": self.resource.kind, "error": str(error)})
        self._stopped.wait(self._position.pause_s(self.back_off, random.random()))


def _is_not_for_us(error: DaybreakError) -> bool:
    """Return whether a kind is not served, or not ours to see.

    What cannot be read now (a webhook that converts it is down, say) is still there: an empty list would end its runs.
    """
    return isinstance(error, NotFoundError) or (isinstance(error, RefusedError) and error.code < 500)
