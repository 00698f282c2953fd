"""One HTTP exchange in bare ASGI: reading a bounded body, noticing that the client disconnected, writing the answer.

Bare, because the response classes of the framework notice a disconnect only at their next write. Owns no
meaning of what is read and written.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from daybreak_serve.gateway.http.cancellation import CancellationGroup
from daybreak_serve.gateway.http.problems import ApiProblem

BODY_TIMEOUT_S = 15.0
"""A mebibyte in that time is a slow line's; a client that is silent for longer holds a connection for nothing."""


WRITE_TIMEOUT_S = 30.0
"""A client that takes nothing of its answer for so long would hold its place in an engine."""
GZIP, ZLIB = zlib.MAX_WBITS | 16, zlib.MAX_WBITS
ENCODINGS = {"gzip": GZIP, "x-gzip": GZIP, "deflate": ZLIB}
"""HTTP's ``deflate`` is zlib's format (RFC 9110)."""


class ClientDisconnected(Exception):  # noqa: N818 - not an error
    """The connection was closed before the request was whole."""


def header(scope: Scope, name: bytes) -> str | None:
    """Return a header by its lower-case name, or None."""
    value = next((value for key, value in scope["headers"] if key == name), None)
    return None if value is None else value.decode("utf-8", "replace")


async def read_body(receive: Receive, scope: Scope, limit_bytes: int) -> bytes:
    """Return the whole body; one above the limit is a `ApiProblem` as soon as that is known."""
    announced = header(scope, b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > limit_bytes:
        raise _too_large(limit_bytes)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = await _whole_body(receive, limit_bytes)
    except TimeoutError as error:
        message = f"the body was not whole within {BODY_TIMEOUT_S:g} s"
        raise ApiProblem(408, message, code="body_timeout") from error
    return unpacked(body, header(scope, b"content-encoding"), limit_bytes)


async def _whole_body(receive: Receive, limit_bytes: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        body += message.get("body", b"")
        if len(body) > limit_bytes:
            raise _too_large(limit_bytes)
        if not message.get("more_body", False):
            return bytes(body)


def unpacked(body: bytes, encoding: str | None, limit_bytes: int) -> bytes:
    """Return a body as it was before its ``Content-Encoding``, no more of it than a plain one may have."""
    name = (encoding or "identity").strip().lower()
    if name in ("identity", ""):
        return body
    if name not in ENCODINGS:
        message = f"a body may be packed with gzip or deflate, not {name[:20]}"
        raise ApiProblem(415, message, code="unsupported_encoding")
    try:
        found = zlib.decompressobj(ENCODINGS[name]).decompress(body, limit_bytes + 1)
    except zlib.error as error:
        raise ApiProblem(400, f"the body is not what its Content-Encoding says: {error}") from error
    if len(found) > limit_bytes:
        raise _too_large(limit_bytes)
    return found


def _too_large(limit_bytes: int) -> ApiProblem:
    return ApiProblem(413, f"the body must have at most {limit_bytes} bytes", code="body_too_large")


async def cancel_on_disconnect(receive: Receive, cancellation: CancellationGroup) -> None:
    """Cancel the request when the client disconnects. This task is cancelled at the end of the exchange."""
    while (await receive())["type"] != "http.disconnect":
        pass
    cancellation.cancel("disconnected")


class ResponseWriter:
    """The response of one exchange; remembers whether its head has been sent."""

    def __init__(self, send: Send, patience_s: float = WRITE_TIMEOUT_S) -> None:
        self._send = send
        self._patience_s = patience_s
        self.status = 0

    @property
    def is_started(self) -> bool:
        """Tell whether the status can no longer be chosen."""
        return self.status != 0

    async def start(self, status: int, content_type: bytes, headers: Mapping[str, str]) -> None:
        """Send the head."""
        self.status = status
        pairs = [(b"content-type", content_type)]
        pairs += [(key.encode(), value.encode()) for key, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def write(self, data: bytes, *, more: bool) -> None:
        """Send a part of the body; a client that takes none of it is a `ClientDisconnected`."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except TimeoutError as error:
            raise ClientDisconnected from error

    async def whole(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a JSON answer at once."""
        length = {"content-length": str(len(body))}
        await self.start(status, b"application/json", {**headers, **length})
        await self.write(body, more=False)

    async def problem(self, problem: ApiProblem, body: bytes) -> None:
        """Send a problem as the answer."""
        await self.whole(problem.status, body, problem.headers)


def is_task_cancelled() -> bool:
    """Tell whether this task itself was cancelled, rather than something it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
