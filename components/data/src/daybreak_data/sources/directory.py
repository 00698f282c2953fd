"""A folder of source code: every folder directly below it is one repository, loose files make one more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import DirectorySource
from daybreak_data.sources import archives, jsonl, parquet
from daybreak_data.sources.entries import (
    Contents,
    FileRef,
    Listing,
    Refused,
    SourceEntry,
    displayable,
    fingerprint_of,
    read_capped,
)
from daybreak_data.sources.tree import Found, walk


def list_directory(name: str, directory: DirectorySource) -> Listing:
    """List a local folder. A missing, unreadable or empty one is a UserError that names the source."""
    root = storage.local_path(directory.path).expanduser()
    if not root.exists():
        raise UserError(
            f"source {name}: {root} does not exist, set directory.path to a folder with source code"
        )
    if not root.is_dir():
        raise UserError(f"source {name}: {root} is not a folder, {_remedy_for(root.name.lower())}")
    found = list(walk(root.resolve()))
    if any(item.path == "." for item in found):
        raise UserError(f"source {name}: {root} cannot be read, give this user the right to list it")
    if not found:
        raise UserError(
            f"source {name}: {root} holds no files, set directory.path to a folder with source code"
        )
    loose = _loose_repository(name, found)
    refs = tuple(_ref(name, root.resolve(), loose, item) for item in found if not item.problem)
    refused = tuple(_refused(loose, item) for item in found if item.problem)
    contents = Contents(refs, refused)
    repositories = frozenset({ref.repository for ref in refs} | {item.repository for item in refused})
    return Listing(name, fingerprint_of(refs), lambda: contents, repositories, True)


def _remedy_for(file: str) -> str:
    if file.endswith(jsonl.SUFFIXES):
        return "it is JSON Lines: give it as jsonl: {uri: ...} instead of directory.path"
    if file.endswith(parquet.SUFFIXES):
        return "it is Parquet: give it as parquet: {uri: ...} instead of directory.path"
    if file.endswith(archives.SUFFIXES):
        return "it is an archive: give it as archives: {uris: [...]} instead of directory.path"
    return "set directory.path to the folder that holds it"


def _loose_repository(name: str, found: list[Found]) -> str:
    """Return the repository of files directly in the root; never the name of a folder there."""
    folders = {item.path.partition("/")[0] for item in found if "/" in item.path}
    while name in folders:
        name = f".{name}"
    return name


def _split(path: str, loose: str) -> tuple[str, str]:
    repository, separator, rest = path.partition("/")
    return (displayable(repository), displayable(rest)) if separator else (loose, displayable(path))


def _ref(name: str, root: Path, loose: str, item: Found) -> FileRef:
    repository, path = _split(item.path, loose)
    return FileRef(
        kind="file",
        source=name,
        repository=repository,
        path=path,
        licence="",
        size=item.size,
        fingerprint=f"{item.size}:{item.mtime_ns}",
        location=f"{root}/{item.path}",
    )


def _refused(loose: str, item: Found) -> Refused:
    repository, path = _split(item.path, loose)
    return Refused(repository, path, item.size, item.problem, item.detail)


def read_files(refs: Iterable[FileRef]) -> Iterator[SourceEntry | Refused]:
    """Yield plain local files."""
    for ref in refs:
        yield SourceEntry(ref.repository, ref.path, ref.licence, ref.size, _loader(Path(ref.location)))


def _loader(path: Path):  # type: ignore[no-untyped-def]
    return lambda: read_capped(path)
