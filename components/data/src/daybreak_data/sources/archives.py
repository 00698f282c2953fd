"""Archives as sources: tar (plain, gz, bz2, xz, zst), zip, wheel, npm and deb packages; streamed, never unpacked.

One archive is one repository. Nothing is written, links and devices are refused, bombs are bounded; what is
refused is counted. A torn archive ends the step with its name, or is skipped where the source says so.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, cast

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import ArchivesSource
from daybreak_data.sources import tar_members, zip_members
from daybreak_data.sources.archive_bounds import ArchiveBounds, BombError, BoundedReader, rest_of
from daybreak_data.sources.compression import TORN_STREAM, decompressed, packing_of
from daybreak_data.sources.entries import (
    Contents,
    FileRef,
    Listing,
    Refused,
    SourceEntry,
    Tolerance,
    UnreadableError,
    shortest_unique_names,
)
from daybreak_data.sources.entries import fingerprint_of as digest_of_refs

SUFFIXES = (
    ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tgz", ".tbz2", ".txz", ".tar", ".zip", ".whl", ".deb", ".jar",
)  # fmt: skip
MAGIC = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"!<arch>\n": "ar",
}
KNOWN = "tar (plain, gz, bz2, xz, zst), zip, whl, npm .tgz and deb"
TORN = (
    *TORN_STREAM, UnicodeDecodeError, NotImplementedError, struct.error, tar_members.TarError, zip_members.ZipError,
)  # fmt: skip
REMEDY = "fetch it again, or set onError: Skip to go on without it"


def list_archives(name: str, archives: ArchivesSource, tolerance: Tolerance) -> Listing:
    """List local or remote archives. One that is missing, a folder or no archive at all is a UserError."""
    refs = []
    for uri, repository in zip(archives.uris, archive_names(archives.uris), strict=True):
        with tolerance.part(repository, reason="torn-archive"):
            size, fingerprint = _look(name, uri)
            refs.append(
                FileRef(
                    kind="archive",
                    source=name,
                    repository=repository,
                    path=uri.rpartition("/")[2],
                    licence="",
                    size=size,
                    fingerprint=fingerprint,
                    location=uri,
                )
            )
    tolerance.require_some(refs)
    contents = Contents(tuple(refs), tuple(tolerance.broken))
    fingerprint = artifacts.digest_of([digest_of_refs(refs), *tolerance.names()])
    return Listing(name, fingerprint, lambda: contents, frozenset(ref.repository for ref in refs))


def archive_names(uris: Iterable[str]) -> list[str]:
    """Return each archive's name as a repository: without its suffix, with folders where names repeat."""
    return shortest_unique_names([_without_suffix(uri.partition("://")[2] or uri) for uri in uris])


def _without_suffix(uri: str) -> str:
    for suffix in SUFFIXES:
        if uri.lower().endswith(suffix) and not uri.endswith("/" + suffix):
            return uri[: -len(suffix)]
    return uri


def _look(name: str, uri: str) -> tuple[int, str]:
    fs, path = storage.filesystem(uri)
    if not storage.exists(uri):
        raise UserError(f"source {name}: archive {uri} does not exist, correct archives.uris")
    with storage.translated(uri):
        info = fs.info(path)
    if info["type"] != "file":
        raise UserError(f"source {name}: {uri} is not a file, archives.uris takes {KNOWN} files")
    if info["size"] == 0:
        raise UserError(f"source {name}: archive {uri} is empty, fetch it again")
    with storage.translated(uri), fs.open(path, "rb") as file:
        head = file.read(512)
        kind = format_of(head)
        inside = _begin_of_packed(cast(BinaryIO, file), kind) if packing_of(head) else b""
    if not kind or inside:
        raise UserError(f"source {name}: {uri} {_what_it_is(uri, inside or head)}")
    changed = info.get("mtime_ns") or info.get("mtime") or info.get("created") or ""
    return int(info["size"]), f"{info['size']}:{changed}"


def _begin_of_packed(file: BinaryIO, kind: str) -> bytes:
    """Return how the content of a packed file begins when it is no tar; empty when it is one, or torn."""
    file.seek(0)
    try:
        begin = decompressed(file, kind).read(512)
    except TORN:
        return b""
    return b"" if len(begin) == 512 and tar_members.is_header(begin) else begin


def _what_it_is(uri: str, begin: bytes) -> str:
    if begin.lstrip().startswith(b"{"):
        return "holds JSON Lines, give it as a source of kind jsonl (jsonl: {uri: ...})"
    if begin.startswith(b"PAR1"):
        return "is a Parquet file, give it as a source of kind parquet (parquet: {uri: ...})"
    if packing_of(begin) or uri.lower().endswith((".gz", ".bz2", ".xz", ".zst")):
        return f"is one packed file, not an archive of files; archives.uris takes {KNOWN}"
    return f"is not an archive that we know: {KNOWN}"


def format_of(head: bytes) -> str:
    """Return gzip, bzip2, xz, zstd, zip, ar or tar by the first 512 bytes; empty when it is none of them."""
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            return name
    if packing := packing_of(head):
        return packing
    return "tar" if tar_members.is_header(head) else ""


def read_archives(
    refs: Iterable[FileRef], bounds: ArchiveBounds | None = None
) -> Iterator[SourceEntry | Refused]:
    """Yield the members of archives in the order in which they lie there."""
    for ref in refs:
        yield from _read(ref, bounds or ArchiveBounds())


def _read(ref: FileRef, bounds: ArchiveBounds) -> Iterator[SourceEntry | Refused]:
    fs, path = storage.filesystem(ref.location)
    try:
        with fs.open(path, "rb") as file:
            yield from _guarded(_members(cast(BinaryIO, file), ref, bounds))
    except BombError as error:
        yield rest_of(ref.repository, error)
    except TORN as error:
        if storage.is_remote(ref.location) and type(error) is OSError:
            with storage.translated(ref.location):
                raise
        detail = f"{ref.location}: it is torn or not an archive ({error}), {REMEDY}"
        yield Refused(ref.repository, "", 0, "torn-archive", detail, fatal=True)


def _guarded(items: Iterator[SourceEntry | Refused]) -> Iterator[SourceEntry | Refused]:
    """Number paths that come again, and raise here what went wrong while a member was loaded."""
    seen: dict[str, int] = {}
    failures: list[Exception] = []
    for item in items:
        if isinstance(item, Refused):
            yield item
        else:
            revision = seen.get(item.path, 0)
            seen[item.path] = revision + 1
            yield dataclasses.replace(item, load=_noting(item.load, failures), revision=revision)
        if failures:
            raise failures[0]


def _noting(load: Callable[[], bytes], failures: list[Exception]) -> Callable[[], bytes]:
    def noting() -> bytes:
        try:
            return load()
        except (BombError, *TORN) as error:
            failures.append(error)
            raise UnreadableError("torn-archive", str(error)) from error

    return noting


def _members(file: BinaryIO, ref: FileRef, bounds: ArchiveBounds) -> Iterator[SourceEntry | Refused]:
    kind = format_of(file.read(512))
    file.seek(0)
    if kind == "zip":
        yield from zip_members.read(file, ref.repository, ref.size, bounds)
        return
    if kind == "ar":
        file = tar_members.data_of_deb(file)
        kind = format_of(tar_members.peek(file))
    stream = BoundedReader(decompressed(file, kind), ref.size, bounds)
    yield from tar_members.read(stream, ref.repository, bounds)
