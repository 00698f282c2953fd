"""Frames: four bytes of length, then the bytes; over a pair of pipes to a candidate, over sockets among ourselves.

Owns reading and writing whole frames. Knows nothing of what is in them. A peer that ends, lies about lengths or
stalls is the normal case. The first two are errors here. Who waits for whom, and how long:

- tester and candidate wait for each other in ``Channel``, until the supervisor's clock ends the sample;
- the supervisor waits for nobody: what it sends goes through an ``Outbox``, what it gets through an ``Inbox``;
- the client waits for the supervisor at most as long as the slowest sample can take (``client.patience_s``);
- testers and the zygote wait for orders, and the kernel ends them with the supervisor.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

HEADER = struct.Struct("<I")
BLOCK = 1 << 16
REPLY_BLOCK = 1 << 20
_FULL = {errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS}
"""The kernel has no room for it now: for bytes, or for descriptors on their way."""


class ChannelClosedError(Exception):
    """The other side is gone, or does not speak the protocol."""


class FrameTooLargeError(Exception):
    """The other side announced a frame above the limit."""


class SilentPeerError(Exception):
    """The other side has neither read nor written for longer than anything it does can take."""


class Channel:
    """Blocking frames between two processes; each side reads one pipe and writes the other."""

    def __init__(self, reader: int, writer: int, limit: int) -> None:
        self._reader = reader
        self._writer = writer
        self._limit = limit

    def send(self, data: bytes) -> None:
        """Write one frame."""
        rest = memoryview(HEADER.pack(len(data)) + data)
        try:
            while rest:
                rest = rest[os.write(self._writer, rest) :]
        except OSError as error:
            raise ChannelClosedError(str(error)) from error

    def receive(self) -> bytes:
        """Read one frame; one above the limit is refused unread."""
        (size,) = HEADER.unpack(self._exactly(HEADER.size))
        if size > self._limit:
            raise FrameTooLargeError(f"{size} bytes, the limit is {self._limit}")
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        blocks = []
        while size:
            try:
                block = os.read(self._reader, min(size, BLOCK))
            except OSError as error:
                raise ChannelClosedError(str(error)) from error
            if not block:
                raise ChannelClosedError("end of stream")
            blocks.append(block)
            size -= len(block)
        return b"".join(blocks)


def encoded(message: Any) -> bytes:
    """Return a frame of JSON, for trusted processes; text may hold halves of surrogate pairs."""
    data = json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return HEADER.pack(len(data)) + data


class Inbox:
    """Frames of JSON out of the bytes that a trusted process has sent so far."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Take bytes in; return the messages that are whole now."""
        self._bytes += data
        messages = []
        while len(self._bytes) >= HEADER.size:
            (size,) = HEADER.unpack_from(self._bytes)
            end = HEADER.size + size
            if len(self._bytes) < end:
                break
            messages.append(json.loads(self._bytes[HEADER.size : end]))
            del self._bytes[:end]
        return messages


class Outbox:
    """What is to be sent to a process that may not read just now: nobody waits for it, so no two wait for each other.

    Takes a socket of any kind; a datagram goes as a whole. Descriptors travel with a piece and are closed here when
    it has gone.
    """

    def __init__(self, target: socket.socket) -> None:
        target.setblocking(False)
        self._target = target
        self._pieces: deque[tuple[memoryview, Sequence[int]]] = deque()

    @property
    def is_empty(self) -> bool:
        """Tell whether all has gone."""
        return not self._pieces

    def put(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Add a piece, and send what can be sent."""
        self._pieces.append((memoryview(data), descriptors))
        self.flush()

    def flush(self) -> None:
        """Send what the other side takes now. One that is gone gets nothing: its end is heard on reading."""
        while self._pieces:
            data, descriptors = self._pieces[0]
            try:
                sent = socket.send_fds(self._target, [data], list(descriptors))
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _FULL:
                    return
                self.clear()
                return
            _close_all(descriptors)
            if sent == len(data):
                self._pieces.popleft()
            else:
                self._pieces[0] = (data[sent:], ())

    def clear(self) -> None:
        """Give up what has not gone."""
        while self._pieces:
            _close_all(self._pieces.popleft()[1])


def wait_for(file: int | socket.socket, events: int, patience_s: float) -> int:
    """Return which of the events came, as `select.poll` names them; 0 after that time.

    poll and not select: select refuses descriptors from 1,024 on, which a program that holds many files has.
    """
    poll = select.poll()
    poll.register(file, events)
    found = poll.poll(patience_s * 1000)
    return found[0][1] if found else 0


class Correspondence:
    """A client's end of a socket to a trusted process: what is to be sent goes while replies are waited for.

    So neither side waits for the other to read.
    """

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._outbox = Outbox(peer)
        self._inbox = Inbox()
        self._replies: deque[dict[str, Any]] = deque()

    def send(self, message: Any) -> None:
        """Send a message as soon as it is read; its turn comes at the latest in `receive`."""
        self._outbox.put(encoded(message))

    def receive(self, patience_s: float) -> dict[str, Any]:
        """Return the next reply. `SilentPeerError` after that silence, `ChannelClosedError` when nobody is there."""
        while not self._replies:
            happened = wait_for(
                self._peer, select.POLLIN | (0 if self._outbox.is_empty else select.POLLOUT), patience_s
            )
            if not happened:
                raise SilentPeerError(f"has said nothing for {patience_s:g} s")
            if happened & select.POLLOUT:
                self._outbox.flush()
            if happened & ~select.POLLOUT:  # something to read, or its end
                self._replies.extend(self._inbox.feed(self._read()))
        return self._replies.popleft()

    def _read(self) -> bytes:
        try:
            data = self._peer.recv(REPLY_BLOCK)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            raise ChannelClosedError("end of stream")
        return data

    def close(self) -> None:
        """Hang up."""
        self._peer.close()


def _close_all(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def receive_exactly(source: socket.socket, size: int) -> bytes:
    """Read this many bytes from a trusted process."""
    blocks = []
    while size:
        try:
            block = source.recv(min(size, 1 << 20))
        except OSError as error:
            raise ChannelClosedError(str(error)) from error
        if not block:
            raise ChannelClosedError("end of stream")
        blocks.append(block)
        size -= len(block)
    return b"".join(blocks)
