"""Following objects of a Kubernetes API server by plain HTTP: list, then watch from there on, for ever.

A watch that ends is taken up where it ended (bookmarks keep that place fresh), one whose place is too old begins
with a new list, a server that is away is asked again with back-off. Owns no meaning of the objects.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from daybreak_contracts.errors import UserError
from daybreak_contracts.kubernetes_access import Access
from daybreak_contracts.list_watch import (
    GONE,
    BackOff,
    WatchError,
    WatchEvent,
    WatchPosition,
    parse_event,
    watch_query,
)

WATCH_S = 60
"""The server ends a watch after this long; a connection that died silently is noticed soon after."""
PATIENCE_S = 15
"""Beyond that, for the end of a watch that the server forgot."""
CONNECT_TIMEOUT_S = 5.0
BACK_OFF = BackOff(0.2, 10.0)
SHORT_S = 1.0
"""A watch that ended sooner is not taken up at once: a proxy may end every one of them."""


@dataclass(frozen=True)
class Change:
    """What happened to the followed objects."""

    kind: str
    """``LISTED``: these are all; ``ADDED``, ``MODIFIED``, ``DELETED``: of one."""
    objects: tuple[dict[str, Any], ...]


class _Followed:
    """One path: where it stands, and whether it answers, told once for each change."""

    def __init__(self, path: str, log: Callable[[str], None]) -> None:
        self._path = path
        self._log = log
        self._is_away = False
        self.position = WatchPosition()

    def is_up(self) -> None:
        """Note an answer."""
        if self._is_away:
            self._log(f"{self._path}: the API server answers again")
        self._is_away = False
        self.position.answered()

    def is_down(self, error: Exception) -> None:
        """Note that there was none."""
        self.position.failed()
        if not self._is_away:
            self._log(f"{self._path}: {type(error).__name__}: {error}; what is known stays in force")
            self._is_away = True


@dataclass
class ApiServer:
    """A client for some paths of the API."""

    access: Access
    chance: random.Random
    log: Callable[[str], None]
    """One line for each change of the connection's state."""
    watch_s: int = WATCH_S
    _client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        verify: ssl.SSLContext | bool = True
        if self.access.ca_file is not None:
            try:
                verify = self.access.tls()
            except OSError as error:
                raise UserError(f"{self.access.ca_file}: cannot be read as certificates ({error})") from error
        timeout = httpx.Timeout(CONNECT_TIMEOUT_S, read=self.watch_s + PATIENCE_S)
        self._client = httpx.AsyncClient(
            base_url=self.access.server, verify=verify, timeout=timeout, trust_env=False
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def follow(self, path: str, selector: Mapping[str, str]) -> AsyncIterator[Change]:
        """Yield the objects of a collection and every change of them, until the caller stops."""
        followed = _Followed(path, self.log)
        position = followed.position
        while True:
            began_s = asyncio.get_running_loop().time()
            try:
                if position.must_list:
                    version, objects = await self._list(path, selector)
                    position.reached(version)
                    followed.is_up()
                    yield Change("LISTED", objects)
                async for event in self._watch(path, selector, followed):
                    position.reached(event.version)
                    if event.is_change:
                        yield Change(event.kind, (event.body,))
            except (httpx.HTTPError, OSError, ValueError, KeyError, WatchError) as error:
                if _is_gone(error):
                    position.failed(GONE)
                else:
                    followed.is_down(error)
            if asyncio.get_running_loop().time() - began_s < SHORT_S:
                await asyncio.sleep(position.pause_s(BACK_OFF, self.chance.random()))

    async def _list(self, path: str, selector: Mapping[str, str]) -> tuple[str, tuple[dict[str, Any], ...]]:
        response = await self._client.get(path, params=dict(selector), headers=self._headers())
        response.raise_for_status()
        document = response.json()
        return str(document["metadata"]["resourceVersion"]), tuple(document.get("items") or ())

    async def _watch(
        self, path: str, selector: Mapping[str, str], followed: _Followed
    ) -> AsyncIterator[WatchEvent]:
        """Yield each event until the server ends the watch."""
        params = {**selector, **watch_query(followed.position.version, self.watch_s)}
        async with self._client.stream("GET", path, params=params, headers=self._headers()) as response:
            response.raise_for_status()
            followed.is_up()
            async for text in response.aiter_lines():
                if text:
                    yield parse_event(text)

    def _headers(self) -> dict[str, str]:
        header = self.access.authorization()
        return {} if header is None else {"authorization": header}


def _is_gone(error: Exception) -> bool:
    """Return whether the place to go on from is too old, said by the answer's status or by an event."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code == GONE
    return isinstance(error, WatchError) and error.code == GONE
