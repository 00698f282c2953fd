"""kopf, kept to what it does well: it watches our two kinds. Each event goes into the cache and wakes its key.

Owns kopf's settings. No handler of kopf ever writes: no finalizers, no annotations, no events, no line a handler.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import kopf

from daybreak_contracts import names
from daybreak_contracts.errors import TransientError
from daybreak_operator.shell.kube.client import CONNECT_S, PAGE, REQUEST_S, Connection, stream_s
from daybreak_operator.shell.kube.resources import PRIMARIES

OnEvent = Callable[[str | None, dict[str, Any]], None]
"""Told of every event: its type (None: listed at the start) and the object."""


class NoDiffs(kopf.DiffBaseStorage):
    """kopf compares each object with what it handled last; we don't ask for differences, so nothing is copied."""

    def build(self, **_: Any) -> Any:
        """Say that there is nothing to compare."""
        return {}

    def fetch(self, **_: Any) -> None:
        """Say that nothing was handled."""

    def store(self, **_: Any) -> None:
        """Keep nothing."""


class NoProgress(kopf.ProgressStorage):
    """Handlers of events have no progress to keep."""

    def fetch(self, **_: Any) -> None:
        """Say that nothing was begun."""

    def store(self, **_: Any) -> None:
        """Keep nothing."""

    def purge(self, **_: Any) -> None:
        """Forget nothing."""

    def touch(self, **_: Any) -> None:
        """Leave no trace."""

    def clear(self, *, essence: Any) -> Any:
        """Return what was given."""
        return essence


def login_of(found: Connection) -> kopf.ConnectionInfo:
    """Return what kopf reaches the API server with."""
    return kopf.ConnectionInfo(
        server=found.server,
        ca_path=found.ca_path,
        insecure=found.insecure,
        scheme=found.scheme,
        token=found.token,
        certificate_path=found.certificate_path,
        private_key_path=found.private_key_path,
    )


def registry_for(on_event: OnEvent, connection: Callable[[], Connection]) -> kopf.OperatorRegistry:
    """Return kopf's registry: our login, and one handler for the events of both kinds."""
    registry = kopf.OperatorRegistry()

    async def handle(event: Any, **_: Any) -> None:
        on_event(event["type"], event["object"])

    async def login(**_: Any) -> kopf.ConnectionInfo:
        return login_of(connection())

    for resource in PRIMARIES:
        kopf.on.event(names.GROUP, names.VERSION, resource.plural, registry=registry)(handle)
    kopf.on.login(registry=registry)(login)
    return registry


def settings_for(silence_s: float) -> kopf.OperatorSettings:
    """Return kopf's settings: short timeouts, pages, no writing and no looking around."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.diffbase_storage = NoDiffs()
    settings.persistence.progress_storage = NoProgress()
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.networking.request_timeout = REQUEST_S
    settings.networking.connect_timeout = CONNECT_S
    settings.watching.connect_timeout = CONNECT_S
    settings.watching.inactivity_timeout = silence_s
    settings.watching.server_timeout = stream_s(silence_s)
    settings.watching.chunk_size = PAGE
    settings.queueing.idle_timeout = 0.5
    settings.process.ultimate_exiting_timeout = None  # it would end a process that is not kopf's alone
    return settings


@dataclass(frozen=True)
class Feed:
    """How kopf is run."""

    on_event: OnEvent
    connection: Callable[[], Connection]
    namespaces: tuple[str, ...]
    """Empty: all."""
    silence_s: float
    stop: asyncio.Event
    take_signals: Callable[[], None] = lambda: None
    """Called once kopf has put its own handlers of signals in place of ours."""


async def run(feed: Feed) -> None:
    """Feed events until asked to stop. A watcher that meets an error it can't take ends kopf: a TransientError."""
    ours = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry_for(feed.on_event, feed.connection),
        settings=settings_for(feed.silence_s),
        standalone=True,
        clusterwide=not feed.namespaces,
        namespaces=feed.namespaces,
        stop_flag=feed.stop,
    )
    feed.take_signals()
    try:
        await kopf.run_tasks(tasks, ignored=ours)
    except Exception as error:
        raise TransientError(f"kopf's watches ended: {type(error).__name__}: {error}") from error
