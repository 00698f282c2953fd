"""Connections that say nothing, or too much: bounds of the server below the application, and its orderly end.

Owns what uvicorn has no setting for: a limit of time for a request's head, a bound of its size, room for newcomers when
silent connections fill the table of files, and an end at which nobody's accepted request is reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import select
import socket
from collections.abc import Iterable
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_TIMEOUT_S = 10.0
"""From the connection, or its first byte of another request, to the end of the head (nginx waits 60 s)."""
MAX_HEAD_BYTES = 64 << 10
RESERVED_FILES = 128
"""Descriptors that connections leave to everything else: engines, logs, the API server."""
LINGER_S = 1.0
"""At the end: how long requests are still taken, each answer closing its connection, before the door is shut."""
SETTLE_S, LONGEST_SETTLE_S = 0.3, 3.0
"""After that: how long is waited at least, and while connections that were let in last have sent no whole head."""
MAX_ROUNDS = 1000
"""How often those who wait at the door are let in before it is shut; a door that is never free is shut all the same."""
CLOSE = (b"connection", b"close")
UPGRADE = re.compile(rb"\nupgrade:", re.IGNORECASE)
TOO_LARGE_HEAD = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class GuardedHttp(HttpToolsProtocol):
    """One connection."""

    max_connections = 1024

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes: int | None = 0
        """Bytes of the head so far; None between its end and the end of the response."""
        self._head_timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for an answer here."""
        return self._head_bytes is not None

    @property
    def expects_head(self) -> bool:
        """Whether a head has begun or, on a new connection, is due."""
        return self._head_timer is not None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()
        if len(self.connections) > self.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head_bytes is not None:
            data = without_upgrade(data)
            self._head_bytes += len(data)
            if self._head_timer is None:
                self._expect_head(self._head_bytes)
        super().data_received(data)
        if self._head_bytes is not None and self._head_bytes > MAX_HEAD_BYTES:
            self.transport.write(TOO_LARGE_HEAD)
            self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        is_old = cycle.scope["http_version"] == "1.0"
        super()._start_asgi_task(cycle, unchunked(app, cycle) if is_old else app)

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._head_bytes = None
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        self._head_bytes = (
            0  # the timer starts with the next request's first byte: pauses are uvicorn's business
        )
        super().on_response_complete()

    def _expect_head(self, so_far: int = 0) -> None:
        self._head_bytes = so_far
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _give_up(self) -> None:
        self._head_timer = None
        if self.is_idle and not self.transport.is_closing():
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _make_room(self) -> None:
        """Close a connection on which nobody waits for an answer, or this one."""
        others = (one for one in self.connections if one is not self)
        idle = (one for one in others if isinstance(one, GuardedHttp) and one.is_idle)
        leaving = next(idle, self)
        self.connections.discard(leaving)
        leaving.transport.abort()


def without_upgrade(data: bytes) -> bytes:
    """Return the start of a request that wishes for no other protocol.

    Java's own client wishes for HTTP/2 with each first request (``Upgrade: h2c``), and the parser then takes the body
    for that protocol's; who is not upgraded goes on with HTTP/1.1 (RFC 9110).

    >>> without_upgrade(b"POST / HTTP/1.1\\r\\nUpgrade: h2c\\r\\n\\r\\nupgrade: 1")
    b'POST / HTTP/1.1\\r\\nx-upgrade: h2c\\r\\n\\r\\nupgrade: 1'
    """
    head, end, body = data.partition(b"\r\n\r\n")
    return UPGRADE.sub(b"\nx-upgrade:", head) + end + body


def unchunked(app: ASGIApp, cycle: RequestResponseCycle) -> Any:
    """Return an application whose answers of unknown length end with the connection: HTTP/1.0 knows no chunks."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        is_bounded = True

        async def sending(message: Message) -> None:
            nonlocal is_bounded
            if message["type"] == "http.response.start":
                is_bounded = any(name.lower() == b"content-length" for name, _ in message["headers"])
                cycle.chunked_encoding = None if is_bounded else False
            elif not is_bounded:
                cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        await app(scope, receive, sending)

    return answering


class SettlingServer(uvicorn.Server):
    """A server that goes on taking requests for a moment when it is told to end."""

    settle_after_s = LINGER_S

    def send_clients_away(self) -> None:
        """Close each connection with its next answer: one that is closed while it rests may meet a request."""
        if CLOSE not in self.server_state.default_headers:
            self.config.encoded_headers.append(CLOSE)
            self.server_state.default_headers = [*self.server_state.default_headers, CLOSE]

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what comes within ``settle_after_s`` and say that the connection closes, then end as uvicorn does."""
        self.send_clients_away()
        if not self.force_exit:
            await asyncio.sleep(self.settle_after_s)
            await self._let_in_who_waits(sockets or ())
            for door in (*self.servers, *(sockets or ())):
                door.close()
            await self._settle()
        await super().shutdown(sockets)

    async def _let_in_who_waits(self, sockets: Iterable[socket.socket]) -> None:
        """Return in the moment in which nobody waits at the door: whom only the kernel has taken would be reset."""
        doors = select.poll()
        for door in (*(held for server in self.servers for held in server.sockets), *sockets):
            doors.register(door.fileno(), select.POLLIN)
        for _ in range(MAX_ROUNDS):
            if not doors.poll(0):
                return
            await asyncio.sleep(0)

    async def _settle(self) -> None:
        """Wait until the connections that were let in have sent their requests, but not for ever."""
        for _ in range(round(LONGEST_SETTLE_S / SETTLE_S)):
            await asyncio.sleep(SETTLE_S)
            held = self.server_state.connections
            if not any(isinstance(one, GuardedHttp) and one.expects_head for one in held):
                return


def room_for_connections() -> int:
    """Raise the bound of open files as far as it goes; return how many connections it leaves room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return max(16, min(soft, 65_536) - RESERVED_FILES)
