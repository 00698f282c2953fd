"""Where code comes from: one module per kind of source, each a deterministic listing and a reader for tasks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from daybreak_contracts.resources.run import Source
from daybreak_data.sources.archives import list_archives, read_archives
from daybreak_data.sources.directory import list_directory, read_files
from daybreak_data.sources.entries import (
    Contents,
    FileRef,
    Listing,
    Reader,
    Refused,
    SourceEntry,
    Tolerance,
    UnreadableError,
)
from daybreak_data.sources.git import list_git, read_blobs
from daybreak_data.sources.installed_packages import current_folders, list_installed_packages
from daybreak_data.sources.jsonl import list_jsonl, read_lines
from daybreak_data.sources.parquet import list_parquet, read_rows

READERS: dict[str, Reader] = {
    "file": read_files,
    "blob": read_blobs,
    "archive": read_archives,
    "rows": read_rows,
    "lines": read_lines,
}


def list_source(source: Source, work_dir: str) -> Listing:
    """Return what a source holds now; a missing or empty one is a UserError that names it and the remedy."""
    tolerance = Tolerance(source.on_error)
    if source.directory is not None:
        return list_directory(source.name, source.directory)
    if source.parquet is not None:
        return list_parquet(source.name, source.parquet, tolerance)
    if source.jsonl is not None:
        return list_jsonl(source.name, source.jsonl, tolerance)
    if source.git is not None:
        return list_git(source.name, source.git, work_dir, tolerance)
    if source.archives is not None:
        return list_archives(source.name, source.archives, tolerance)
    assert source.installed_packages is not None  # the model holds exactly one kind
    return list_installed_packages(source.name, source.installed_packages, current_folders())


def read(refs: Iterable[FileRef]) -> Iterator[SourceEntry | Refused]:
    """Yield everything inside these references, in their order."""
    for kind, group in itertools.groupby(refs, key=lambda ref: ref.kind):
        yield from READERS[kind](group)


__all__ = [
    "Contents",
    "FileRef",
    "Listing",
    "Refused",
    "SourceEntry",
    "UnreadableError",
    "list_source",
    "read",
]
