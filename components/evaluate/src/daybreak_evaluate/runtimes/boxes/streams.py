"""What goes into a command's standard input, and what is kept of what it says.

Owns bounded keeping of an output that has no bound, and comparing it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from daybreak_evaluate.runtimes.boxes.values import Box

HEAD_BYTES, TAIL_BYTES = 48 << 10, 16 << 10
"""What is kept of an output: its beginning and its end."""


@dataclass
class KeptOutput:
    """A stream of a box, read as it comes and kept in part."""

    limit: int = HEAD_BYTES
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    size: int = 0
    secret: bytes = b""
    secret_seen: bool = False

    def add(self, data: bytes) -> None:
        """Take a piece."""
        self.size += len(data)
        if self.secret and not self.secret_seen:
            self.secret_seen = self.secret in bytes(self.tail[-len(self.secret) :]) + data
        room = max(self.limit - len(self.head), 0)
        self.head += data[:room]
        self.tail = (self.tail + data)[-TAIL_BYTES:]

    @property
    def text(self) -> str:
        """What is kept, as text."""
        if self.size <= len(self.head):
            data = bytes(self.head)
        else:
            data = bytes(self.head) + b"\n...\n" + bytes(self.tail)
        return data.decode("utf-8", "replace")


def proof(box: Box) -> bytes:
    """Return what a box has to say to show that its test came to its end; empty where it keeps no secret."""
    return f"{box.secret}\n{box.ending}".encode() if box.ending else box.secret.encode()


def standard_input(box: Box) -> int:
    """Return a descriptor to read: a pipe with the secret, or a file that nobody can write."""
    if box.secret:
        reader, writer = os.pipe()
        os.write(writer, box.secret.encode() + b"\n")
        os.close(writer)
        return reader
    file = os.memfd_create("stdin")
    with os.fdopen(file, "wb", closefd=False) as stream:
        stream.write(box.stdin.encode("utf-8", "surrogatepass"))
    reader = os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
    os.close(file)
    return reader


def same_output(found: str, expected: str) -> bool:
    """Compare outputs; white space at the ends of lines, and empty lines at the end, do not count."""
    return _lines(found) == _lines(expected)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]
