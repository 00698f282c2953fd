"""The values that all kinds of sources share: what a listing holds, what a reader yields, what it refuses.

A ``FileRef`` is what one task reads as a whole: a file, or a container of many (archive, Parquet row group).
A reader yields an ``Entry`` per file inside it; its bytes are loaded only when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from daybreak_contracts import artifacts

MAX_FILE_BYTES = 10_000_000
"""Files above are dropped unread (The Stack v2 downloads nothing above 10 MB)."""
CONTAINERS = ("archive", "rows")
"""Kinds of references that hold many files."""
VERSION_CONTROL_AND_CACHES = frozenset(
    {
        ".git", ".hg", ".svn", ".bzr", "CVS", "_darcs", ".jj", "__pycache__",
        ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".ipynb_checkpoints",
    }
)  # fmt: skip
"""Folders that are never entered: they hold no file that a person wrote there."""


@dataclass(frozen=True, slots=True)
class FileRef:
    """One file or container of a source; ``location`` is all that a reader of its kind needs to open it."""

    kind: str
    """``file``, ``blob`` (git), ``archive`` or ``rows`` (Parquet)."""
    source: str
    repository: str
    path: str
    """Relative to the repository, with ``/``; of a container, its own name."""
    licence: str
    size: int
    fingerprint: str
    """Changes when the bytes may have changed."""
    location: str
    details: dict[str, str] = field(default_factory=dict)
    """What only the reader of this kind understands."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One file that was found; ``load`` returns its bytes and must be called before the next entry is taken."""

    repository: str
    path: str
    licence: str
    size: int
    load: Callable[[], bytes]
    language: str = ""
    """What the source says the language is, in its own spelling; empty when it says nothing."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One file (or a rest of a container) that is not read, and why."""

    repository: str
    path: str
    size: int
    reason: str
    detail: str = ""
    fatal: bool = False
    """True: the source itself is broken (a torn archive) and the step has to end with this as its message."""


@dataclass(frozen=True)
class Contents:
    """All that tasks have to read, in a fixed order, and what the listing refused."""

    refs: tuple[FileRef, ...]
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True)
class Listing:
    """A source as it is now: the fingerprint is cheap, the contents are expanded only when there is work."""

    source: str
    fingerprint: str
    expand: Callable[[], Contents]


class UnreadableError(Exception):
    """``Entry.load`` could not get the bytes; the message says why, the file is dropped and counted."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def fingerprint_of(refs: Iterable[FileRef]) -> str:
    """Return one digest of where files are and how they were last changed."""
    return artifacts.digest_of([[ref.repository, ref.path, ref.licence, ref.fingerprint] for ref in refs])


def read_capped(path: Path, limit: int = MAX_FILE_BYTES) -> bytes:
    """Return a file's bytes; it may have grown, gone or lost its rights since it was listed."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise UnreadableError("unreadable", error.strerror or type(error).__name__) from error
    if len(data) > limit:
        raise UnreadableError("too-large", f"more than {limit} bytes")
    return data


def displayable(path: str) -> str:
    """Return a path as text that can be written as UTF-8; undecodable bytes of a name become ``\\xNN``."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def shortest_unique_names(locations: Iterable[str]) -> list[str]:
    """Return the last part of each location, with as many parents as are needed to tell them apart."""
    parts = [[part for part in location.rstrip("/").split("/") if part] for location in locations]
    names = []
    for own in parts:
        depth = 1
        while depth < len(own) and sum(other[-depth:] == own[-depth:] for other in parts) > 1:
            depth += 1
        names.append("/".join(own[-depth:]))
    return names


Reader = Callable[[Iterable[FileRef]], Iterator[SourceEntry | Refused]]
