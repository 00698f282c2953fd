"""What an archive may be: bounds against bombs, and which member names are taken. Reads no archive itself.

Members are never written to a disk, so a bad name can only lie about where a file belongs; one that climbs is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

from daybreak_data.sources.entries import Refused

MAX_MEMBERS = 2_000_000
MAX_TOTAL_BYTES = 64 << 30
MAX_RATIO = 200
"""Decompressed to compressed bytes. Source code reaches 20; one layer of deflate at most 1032, xz 7000."""
RATIO_STARTS_BYTES = 100 << 20
"""Below so many decompressed bytes the ratio is not looked at: small archives of equal lines are harmless."""
MAX_HEADER_BYTES = 1 << 20
"""Of one tar extension header (long names, pax records): tarfile reads it into memory."""


@dataclass(frozen=True)
class ArchiveBounds:
    """The bounds of one archive; tests make them small."""

    max_members: int = MAX_MEMBERS
    max_total_bytes: int = MAX_TOTAL_BYTES
    max_ratio: int = MAX_RATIO
    ratio_starts_bytes: int = RATIO_STARTS_BYTES


class BombError(Exception):
    """A bound was passed; the rest of the archive is not read."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def check_expansion(bounds: ArchiveBounds, packed: int, unpacked: int) -> None:
    """Raise BombError when an archive of ``packed`` bytes has given too many ``unpacked`` ones."""
    if unpacked > bounds.max_total_bytes:
        raise BombError("archive-too-large", f"unpacks to more than {bounds.max_total_bytes} bytes")
    if unpacked > bounds.ratio_starts_bytes and unpacked > bounds.max_ratio * max(packed, 1):
        raise BombError("archive-bomb", f"unpacks to more than {bounds.max_ratio} times its size")


def check_members(bounds: ArchiveBounds, members: int) -> None:
    """Raise BombError when there are too many members."""
    if members > bounds.max_members:
        raise BombError("archive-too-many-members", f"more than {bounds.max_members} members")


def member_path(name: str) -> str | None:
    """Return a member's name as a clean relative path; None when it leads out of the archive.

    An absolute name loses its first slash, as it does when tar unpacks it: some archives have no other names.
    """
    name = name.replace("\\", "/").lstrip("/")
    if "\0" in name or re.match(r"[A-Za-z]:", name):
        return None
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        return None
    return "/".join(parts)


def rest_of(archive: str, error: BombError) -> Refused:
    """Return the record of the part of an archive that was not read."""
    return Refused(archive, "", 0, error.reason, error.detail)


class BoundedReader:
    """A stream of decompressed bytes that stops at the bounds; ``source`` tells how many packed ones it took."""

    def __init__(self, stream: BinaryIO, size: int, bounds: ArchiveBounds) -> None:
        self._stream = stream
        self._size = size
        self._bounds = bounds
        self._unpacked = 0

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes; -1 is refused, nobody may read an archive whole."""
        if size < 0:
            raise ValueError("an archive is never read whole")
        data = self._stream.read(size)
        self._unpacked += len(data)
        check_expansion(self._bounds, self._size, self._unpacked)
        return data
