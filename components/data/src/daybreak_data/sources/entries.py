"""The values that all kinds of sources share: what a listing holds, what a reader yields, what it refuses.

A ``FileRef`` is what one task reads as a whole: a file, or a container of many (archive, Parquet row group).
A reader yields an ``Entry`` per file inside it; its bytes are loaded only when somebody asks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from daybreak_contracts import artifacts
from daybreak_contracts.errors import UserError

MAX_FILE_BYTES = 10_000_000
"""Files above are dropped unread (The Stack v2 downloads nothing above 10 MB)."""
CONTAINERS = ("archive", "rows", "lines")
"""Kinds of references that hold many files."""
VERSION_CONTROL_AND_CACHES = frozenset(
    {
        ".git", ".hg", ".svn", ".bzr", "CVS", "_darcs", ".jj", "__pycache__",
        ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".ipynb_checkpoints",
    }
)  # fmt: skip
"""Folders that are never entered: they hold no file that a person wrote there."""
BROKEN = ("torn-archive", "torn-file", "broken-repository", "missing-object")
"""Reasons of what is skipped where a source says ``onError: Skip``."""
OnError = Literal["Fail", "Skip"]


@dataclass(frozen=True, slots=True)
class FileRef:
    """One file or container of a source; ``location`` is all that a reader of its kind needs to open it."""

    kind: str
    """``file``, ``blob`` (git), ``archive``, ``rows`` (Parquet) or ``lines`` (JSON Lines)."""
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
    revision: int = 0
    """How many files of the same repository and path came before it in the source (docs/decisions/0088)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One file (or a rest of a container) that is not read, and why."""

    repository: str
    path: str
    size: int
    reason: str
    detail: str = ""
    fatal: bool = False
    """True: the source itself is broken (a torn archive); unless it says to skip such parts, the step ends with
    this detail as its message."""


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
    repositories: frozenset[str] | None = None
    """The names of all its repositories; None where only reading tells."""
    holds_plain_files: bool = False
    """True: the contents are known already, and every reference is one file."""


class Tolerance:
    """What a broken part of a source does: ends the step, or is left out and noted."""

    def __init__(self, on_error: OnError) -> None:
        self.on_error = on_error
        self.broken: list[Refused] = []

    @contextlib.contextmanager
    def part(self, repository: str, path: str = "", reason: str = "broken-repository") -> Iterator[None]:
        """Look at one part; its UserError is noted when such parts are skipped. What may heal by itself is not."""
        try:
            yield
        except UserError as error:
            if self.on_error == "Fail":
                raise
            self.broken.append(Refused(repository, path, 0, reason, str(error), fatal=True))

    def require_some(self, parts: Sequence[object]) -> None:
        """Raise what was wrong when not one part could be read."""
        if self.broken and not parts:
            raise UserError(self.broken[0].detail)

    def names(self) -> list[list[str]]:
        """Return the broken parts for a fingerprint: when one of them heals, the source has changed."""
        return [[item.reason, item.repository, item.path] for item in self.broken]


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
    """Return a path as text that can be written as UTF-8; undecodable bytes of a name become ``\\xNN``.

    Halves of surrogate pairs (JSON can hold them) become ``\\udNNN``; NUL, which separates names in ids, ``\\x00``.
    """
    named = "".join(f"\\u{ord(sign):04x}" if _is_half(sign) else sign for sign in path)
    return named.replace("\0", "\\x00").encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _is_half(sign: str) -> bool:
    return "\ud800" <= sign <= "\udfff" and not "\udc80" <= sign <= "\udcff"


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
