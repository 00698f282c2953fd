"""Reads the members of a tar stream, and finds the tar inside a Debian package. Bounds come from its caller.

The stream is read once, front to back. Extension headers are bounded before tarfile takes them into memory.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from daybreak_data.sources.archive_bounds import (
    MAX_HEADER_BYTES,
    ArchiveBounds,
    BoundedReader,
    check_members,
    member_path,
)
from daybreak_data.sources.entries import MAX_FILE_BYTES, Refused, SourceEntry, UnreadableError, displayable

TarError = tarfile.TarError
AR_HEADER_BYTES = 60
BLOCK_BYTES = 1 << 16
EXTENSION_TYPES = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class _BoundedInfo(tarfile.TarInfo):
    """Refuses headers that tarfile would read whole (pax records, long names) or that make it go back."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0:
            raise tarfile.ReadError("a member has a negative size")
        if self.type in EXTENSION_TYPES and self.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"an extension header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]


def is_header(head: bytes) -> bool:
    """Tell whether 512 bytes are the header of a tar member (its checksum is right), or the end mark."""
    block = head[: tarfile.BLOCKSIZE]
    if len(block) < tarfile.BLOCKSIZE:
        return False
    if block.count(0) == tarfile.BLOCKSIZE:
        return True
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def read(stream: BoundedReader, repository: str, bounds: ArchiveBounds) -> Iterator[SourceEntry | Refused]:
    """Yield regular files; links, devices and paths that lead out are refused."""
    options: dict[str, Any] = {"tarinfo": _BoundedInfo, "errorlevel": 2, "bufsize": BLOCK_BYTES}
    with tarfile.open(fileobj=stream, mode="r|", **options) as archive:  # type: ignore[call-overload]
        for index, member in enumerate(archive):
            check_members(bounds, index + 1)
            archive.members = []  # tarfile keeps every member otherwise
            if not member.isdir():
                yield _entry(archive, member, repository)


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo, repository: str) -> SourceEntry | Refused:
    path = member_path(member.name)
    if path is None:
        return Refused(repository, displayable(member.name), member.size, "path-outside-archive")
    shown = displayable(path)
    if member.issym() or member.islnk():
        return Refused(repository, shown, 0, "link-in-archive", displayable(member.linkname))
    if not member.isreg() or member.issparse():
        return Refused(repository, shown, 0, "special-file")
    return SourceEntry(repository, shown, "", member.size, _loader(archive, member))


def _loader(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], bytes]:
    def load() -> bytes:
        if member.size > MAX_FILE_BYTES:
            raise UnreadableError("too-large", f"more than {MAX_FILE_BYTES} bytes")
        file = archive.extractfile(member)
        data = file.read(member.size) if file is not None else b""
        if len(data) != member.size:
            raise tarfile.ReadError(f"unexpected end of data in {member.name}")
        return data

    return load


def peek(file: BinaryIO) -> bytes:
    """Return the first 512 bytes of a seekable file and go back to its start."""
    head = file.read(tarfile.BLOCKSIZE)
    file.seek(0)
    return head


def data_of_deb(file: BinaryIO) -> BinaryIO:
    """Return the ``data.tar.*`` member of a Debian package (an ar archive), see deb(5)."""
    file.seek(8)
    while header := file.read(AR_HEADER_BYTES):
        if len(header) < AR_HEADER_BYTES or header[58:60] != b"`\n" or not header[48:58].strip().isdigit():
            raise tarfile.ReadError("a broken ar header")
        name, size = header[:16].rstrip(b" /"), int(header[48:58])
        if name.startswith(b"data.tar"):
            return cast(BinaryIO, _Window(file, file.tell(), size))
        file.seek(size + size % 2, io.SEEK_CUR)
    raise tarfile.ReadError("no data.tar inside, this is not a Debian package")


class _Window(io.RawIOBase):
    """A part of a seekable file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        self._file.seek(self._start + self._position)
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._position)
        data = self._file.read(left if size < 0 else min(size, left))
        self._position += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
