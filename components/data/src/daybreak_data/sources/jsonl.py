"""JSON Lines with one source file an object. A plain file is read in ranges of whole lines, a packed one whole.

A row's number is the byte at which its line begins (inside a packed file: of what is unpacked).
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, cast

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import JsonLinesSource
from daybreak_data.sources import rows
from daybreak_data.sources.archive_bounds import ArchiveBounds, BombError, BoundedReader
from daybreak_data.sources.compression import TORN_STREAM, decompressed, packing_of
from daybreak_data.sources.entries import (
    Contents,
    FileRef,
    Listing,
    Refused,
    SourceEntry,
    Tolerance,
    fingerprint_of,
)

RANGE_BYTES = 32 << 20
MAX_LINE_BYTES = 64 << 20
"""A longer line is left out unread: no file of it could be kept (entries.MAX_FILE_BYTES)."""
BLOCK_BYTES = 1 << 16
"""What a torn stream had in its last block is lost with it."""
SUFFIXES = tuple(
    f".{kind}{packed}" for kind in ("jsonl", "ndjson") for packed in ("", ".gz", ".zst", ".bz2", ".xz")
)
FIELD = "jsonl"
REMEDY = "mend or fetch it again, or set onError: Skip to go on without it"
MARK = b"\xef\xbb\xbf"
"""The byte order mark that some editors write first."""


def list_jsonl(name: str, source: JsonLinesSource, tolerance: Tolerance) -> Listing:
    """List a file or a folder of them. None there, or a first line without the columns, is a UserError."""
    named, files = rows.columns_of(source), []
    for file in rows.table_files(name, FIELD, source.uri, SUFFIXES):
        ref = rows.file_ref("lines", name, file, SUFFIXES)
        if ref.size == 0:
            continue
        with tolerance.part(ref.repository, reason="torn-file"):
            packing, keys = _look(name, ref)
            details = rows.split_columns(name, FIELD, file, keys, named)
            files.append(dataclasses.replace(ref, details={**details, "packing": packing}))
    tolerance.require_some(files)
    if not files:
        raise UserError(f"source {name}: {source.uri} has no lines, point jsonl.uri at files that have some")

    def expand() -> Contents:
        refs = [ref for file in files for ref in _ranges(file)]
        return Contents(tuple(rows.with_revisions(refs, _rows)), tuple(tolerance.broken))

    return Listing(name, artifacts.digest_of([fingerprint_of(files), *tolerance.names()]), expand)


def _look(name: str, ref: FileRef) -> tuple[str, list[str]]:
    """Return how a file is packed and the columns of its first line."""
    fs, path = storage.filesystem(ref.location)
    with storage.translated(ref.location), fs.open(path, "rb") as file:
        head = file.read(8)
    if head.startswith(b"PAR1"):
        raise UserError(f"source {name}: {ref.location} is Parquet, give it as parquet instead of jsonl")
    packing = packing_of(head)
    whole = dataclasses.replace(ref, details={"packing": packing, "first": "0", "last": str(ref.size)})
    for _, found in _objects(whole):
        if isinstance(found, Refused):
            raise UserError(f"source {name}: {found.detail}")
        return packing, [str(key) for key in found]
    return packing, []


def _ranges(file: FileRef) -> Iterator[FileRef]:
    """Cut a plain file; a range has the lines that begin in it."""
    step = file.size if file.details["packing"] else RANGE_BYTES
    for first in range(0, file.size, step):
        last = min(first + step, file.size)
        details = {**file.details, "first": str(first), "last": str(last)}
        yield dataclasses.replace(file, path=f"bytes-{first}", size=last - first, details=details)


def _lines(file: BinaryIO, ref: FileRef) -> Iterator[tuple[int, bytes | None]]:
    """Yield where each line of a range begins, and the line; None for one that is too long."""
    packing, first, last = ref.details["packing"], int(ref.details["first"]), int(ref.details["last"])
    if packing:
        yield from _cut(BoundedReader(decompressed(file, packing), ref.size, ArchiveBounds()), 0)
        return
    # What begins before the range belongs to the range before; the byte before ours may end it.
    file.seek(max(0, first - 1))
    lines = _cut(file, max(0, first - 1))
    if first:
        next(lines, None)
    for at, line in lines:
        if at >= last:
            return
        yield at, line


def _cut(stream: Any, at: int) -> Iterator[tuple[int, bytes | None]]:
    reader = io.BufferedReader(_Raw(stream), BLOCK_BYTES)
    while line := reader.readline(MAX_LINE_BYTES):
        size, whole = len(line), line.endswith(b"\n") or len(line) < MAX_LINE_BYTES
        while not whole and (more := reader.readline(BLOCK_BYTES)):
            size += len(more)
            if more.endswith(b"\n"):
                break
        yield at, line if whole else None
        at += size


class _Raw(io.RawIOBase):
    """Anything that has ``read``, as a raw stream that can be buffered."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _objects(ref: FileRef) -> Iterator[tuple[int, dict[str, Any] | Refused]]:
    """Yield the object of each line; what is none, and what is torn, is refused with its place."""

    def refused(at: int, problem: str) -> tuple[int, Refused]:
        detail = f"{ref.location}: {problem}, {REMEDY}"
        return at, Refused(ref.repository, f"byte-{at}", 0, "torn-file", detail, fatal=True)

    fs, path = storage.filesystem(ref.location)
    at = int(ref.details["first"])
    try:
        with fs.open(path, "rb") as file:
            for at, line in _lines(cast(BinaryIO, file), ref):
                if line is None:
                    yield at, Refused(ref.repository, f"byte-{at}", MAX_LINE_BYTES, "too-large", "one line")
                    continue
                text = line.removeprefix(MARK).strip()
                if not text:
                    continue
                try:
                    found = json.loads(text)
                except (ValueError, RecursionError) as error:
                    yield refused(at, f"the line at byte {at} is not JSON ({error})")
                    continue
                if isinstance(found, dict):
                    yield at, found
                else:
                    yield refused(at, f"the line at byte {at} is not a JSON object")
    except (BombError, *TORN_STREAM) as error:
        if storage.is_remote(ref.location) and type(error) is OSError:
            with storage.translated(ref.location):
                raise
        yield refused(at, f"it is torn after the line at byte {at} ({error})")


def _rows(ref: FileRef, roles: frozenset[str] = frozenset(rows.ROLES)) -> Iterator[rows.Row | Refused]:
    columns, constants = rows.mapping_of(ref, roles)
    for at, found in _objects(ref):
        if isinstance(found, Refused):
            yield found
        else:
            yield at, {**constants, **{role: found.get(column) for role, column in columns.items()}}


def read_lines(refs: Iterable[FileRef]) -> Iterator[SourceEntry | Refused]:
    """Return the files of ranges of lines."""
    return rows.read_entries(refs, _rows)
