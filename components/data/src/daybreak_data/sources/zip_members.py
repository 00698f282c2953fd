"""Reads the members of a zip archive (also wheels). Bounds come from its caller.

Members are read in the order of the central directory; encrypted ones are refused, as are links by Unix mode.
"""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from daybreak_data.sources.archive_bounds import (
    ArchiveBounds,
    check_expansion,
    check_members,
    member_path,
)
from daybreak_data.sources.entries import MAX_FILE_BYTES, Refused, SourceEntry, UnreadableError, displayable

ZipError = zipfile.BadZipFile
ENCRYPTED = 0x1
END_RECORD_BYTES = 22
LONGEST_COMMENT = 1 << 16
ZIP64_LOCATOR_BYTES = 20
ZIP64_RECORD_BYTES = 56
MIN_DIRECTORY_ENTRY_BYTES = 46
CHUNK_BYTES = 4096
"""zipfile expands a chunk of bzip2 or lzma data whole, so the chunks are small."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def read(
    file: BinaryIO, repository: str, size: int, bounds: ArchiveBounds
) -> Iterator[SourceEntry | Refused]:
    """Yield regular files; ``size`` is the archive's own."""
    check_members(bounds, _num_members(file, size))
    meter = _Meter(bounds, size)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield _entry(archive, info, repository, meter)


def _num_members(file: BinaryIO, size: int) -> int:
    """Return how many members zipfile may take into memory: what fits into the directory that it trusts."""
    tail = min(size, END_RECORD_BYTES + LONGEST_COMMENT)
    file.seek(size - tail)
    data = file.read(tail)
    at = data.rfind(b"PK\x05\x06")
    if at < 0 or len(data) - at < END_RECORD_BYTES:
        raise zipfile.BadZipFile("no end of central directory, the file is cut")
    directory = int.from_bytes(data[at + 12 : at + 16], "little")
    locator = data[max(0, at - ZIP64_LOCATOR_BYTES) : at]
    if locator.startswith(b"PK\x06\x07"):
        file.seek(min(size, int.from_bytes(locator[8:16], "little")))
        directory = int.from_bytes(file.read(ZIP64_RECORD_BYTES)[40:48], "little")
    return min(directory, size) // MIN_DIRECTORY_ENTRY_BYTES


class _Meter:
    """Counts what one archive gave; overlapping members (a zip of 10 MB can claim 281 TB) end here."""

    def __init__(self, bounds: ArchiveBounds, size: int) -> None:
        self._bounds = bounds
        self._size = size
        self._unpacked = 0

    def add(self, size: int) -> None:
        self._unpacked += size
        check_expansion(self._bounds, self._size, self._unpacked)


def _entry(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, repository: str, meter: _Meter
) -> SourceEntry | Refused:
    path = member_path(info.filename)
    if path is None:
        return Refused(repository, displayable(info.filename), info.file_size, "path-outside-archive")
    shown = displayable(path)
    mode = info.external_attr >> 16
    if info.create_system == 3 and stat.S_ISLNK(mode):
        return Refused(repository, shown, info.file_size, "link-in-archive")
    if info.create_system == 3 and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return Refused(repository, shown, info.file_size, "special-file")
    if info.flag_bits & ENCRYPTED:
        return Refused(repository, shown, info.file_size, "encrypted")
    if info.compress_type not in METHODS:
        return Refused(repository, shown, info.file_size, "unknown-compression", str(info.compress_type))
    return SourceEntry(repository, shown, "", info.file_size, _loader(archive, info, meter))


def _loader(archive: zipfile.ZipFile, info: zipfile.ZipInfo, meter: _Meter) -> Callable[[], bytes]:
    def load() -> bytes:
        if info.file_size > MAX_FILE_BYTES:
            raise UnreadableError("too-large", f"more than {MAX_FILE_BYTES} bytes")
        parts = io.BytesIO()
        try:
            with archive.open(info) as member:
                while block := member.read(CHUNK_BYTES):
                    parts.write(block)
                    meter.add(len(block))
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise UnreadableError("corrupt-member", str(error)) from error
        return parts.getvalue()

    return load
