"""Following objects of a Kubernetes API server by plain HTTP: list, then watch from there on, for ever.

A watch that ends is taken up where it ended (bookmarks keep that place fresh), one whose place is too old begins
with a new list, a server that is away is asked again with back-off. Owns no meaning of the objects.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from daybreak_contracts.errors import UserError

WATCH_S = 60
"""The server ends a watch after this long; a connection that died silently is noticed soon after."""
PATIENCE_S = 15
"""Beyond that, for the end of a watch that the server forgot."""
CONNECT_TIMEOUT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
SHORT_S = 1.0
"""A watch that ended sooner is not taken up at once: a proxy may end every one of them."""
GONE = 410
MOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts a pod's own credentials."""


@dataclass(frozen=True)
class Access:
    """How the API server is reached."""

    url: str
    token_file: Path | None = None
    """Read anew for each request: Kubernetes changes it every hour."""
    ca_file: Path | None = None
    watch_s: int = WATCH_S


def access_of_pod(environment: Mapping[str, str], mount: Path = MOUNT) -> Access:
    """Return the access that every pod gets; outside of one it is a UserError."""
    host = environment.get("KUBERNETES_SERVICE_HOST", "")
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise UserError("KUBERNETES_SERVICE_HOST is not set: this is no pod, give --api-server")
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Access(f"https://{authority}", mount / "token", mount / "ca.crt")


@dataclass(frozen=True)
class Change:
    """What happened to the followed objects."""

    kind: str
    """``LISTED``: these are all; ``ADDED``, ``MODIFIED``, ``DELETED``: of one."""
    objects: tuple[dict[str, Any], ...]


class Expired(Exception):  # noqa: N818 - a state of the world
    """The place to go on from is too old for the server."""


class _Line:
    """Whether one path answers, told once for each change, and how long to wait before it is asked again."""

    def __init__(self, path: str, log: Callable[[str], None]) -> None:
        self._path = path
        self._log = log
        self._is_away = False
        self.pause_s = FIRST_PAUSE_S

    def is_up(self) -> None:
        """Note an answer."""
        if self._is_away:
            self._log(f"{self._path}: the API server answers again")
        self._is_away, self.pause_s = False, FIRST_PAUSE_S

    def is_down(self, error: Exception) -> None:
        """Note that there was none."""
        if not self._is_away:
            self._log(f"{self._path}: {type(error).__name__}: {error}; what is known stays in force")
            self._is_away = True
            return
        self.pause_s = min(LONGEST_PAUSE_S, 2 * self.pause_s)


@dataclass
class ApiServer:
    """A client for some paths of the API."""

    access: Access
    chance: random.Random
    log: Callable[[str], None]
    """One line for each change of the connection's state."""
    _client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        verify: ssl.SSLContext | bool = True
        if self.access.ca_file is not None:
            try:
                verify = ssl.create_default_context(cafile=str(self.access.ca_file))
            except OSError as error:
                raise UserError(f"{self.access.ca_file}: cannot be read as certificates ({error})") from error
        timeout = httpx.Timeout(CONNECT_TIMEOUT_S, read=self.access.watch_s + PATIENCE_S)
        self._client = httpx.AsyncClient(
            base_url=self.access.url, verify=verify, timeout=timeout, trust_env=False
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def follow(self, path: str, selector: Mapping[str, str]) -> AsyncIterator[Change]:
        """Yield the objects of a collection and every change of them, until the caller stops."""
        line, place = _Line(path, self.log), ""
        while True:
            began_s = asyncio.get_running_loop().time()
            try:
                if not place:
                    place, objects = await self._list(path, selector)
                    line.is_up()
                    yield Change("LISTED", objects)
                async for kind, found in self._watch(path, selector, place, line):
                    place = str(found["metadata"]["resourceVersion"])
                    if kind != "BOOKMARK":
                        yield Change(kind, (found,))
            except Expired:
                place = ""
            except (httpx.HTTPError, OSError, ValueError, KeyError) as error:
                line.is_down(error)
            if asyncio.get_running_loop().time() - began_s < SHORT_S:
                await asyncio.sleep(line.pause_s * (0.5 + self.chance.random()))

    async def _list(self, path: str, selector: Mapping[str, str]) -> tuple[str, tuple[dict[str, Any], ...]]:
        response = await self._client.get(path, params=dict(selector), headers=self._headers())
        response.raise_for_status()
        document = response.json()
        return str(document["metadata"]["resourceVersion"]), tuple(document.get("items") or ())

    async def _watch(
        self, path: str, selector: Mapping[str, str], place: str, line: _Line
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield kind and object of each event until the server ends the watch."""
        params = {
            **selector,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": place,
            "timeoutSeconds": str(self.access.watch_s),
        }
        async with self._client.stream("GET", path, params=params, headers=self._headers()) as response:
            if response.status_code == GONE:
                raise Expired
            response.raise_for_status()
            line.is_up()
            async for text in response.aiter_lines():
                if text:
                    event = json.loads(text)
                    if event["type"] == "ERROR":
                        raise _error_of(event["object"])
                    yield event["type"], event["object"]

    def _headers(self) -> dict[str, str]:
        if self.access.token_file is None:
            return {}
        return {"authorization": f"Bearer {self.access.token_file.read_text().strip()}"}


def _error_of(status: Mapping[str, Any]) -> Exception:
    if status.get("code") == GONE:
        return Expired()
    return ValueError(f"the watch failed: {status.get('message', 'no reason given')}")
