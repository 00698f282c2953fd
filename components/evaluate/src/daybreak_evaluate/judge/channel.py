"""Frames: four bytes of length, then the bytes; over a pair of pipes to a candidate, over sockets among ourselves.

Owns reading and writing whole frames. Knows nothing of what is in them. A peer that ends, lies about lengths or
stalls is the normal case: the first two are errors here, the third is the warden's business.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any

HEADER = struct.Struct("<I")
BLOCK = 1 << 16


class ChannelClosedError(Exception):
    """The other side is gone, or does not speak the protocol."""


class FrameTooLargeError(Exception):
    """The other side announced a frame above the limit."""


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


def send_frame(target: socket.socket, message: Any) -> None:
    """Send one frame of JSON to a trusted process."""
    data = json.dumps(message).encode()
    target.sendall(HEADER.pack(len(data)) + data)


def receive_exactly(source: socket.socket, size: int) -> bytes:
    """Read this many bytes from a trusted process."""
    blocks = []
    while size:
        block = source.recv(min(size, 1 << 20))
        if not block:
            raise ChannelClosedError("end of stream")
        blocks.append(block)
        size -= len(block)
    return b"".join(blocks)
