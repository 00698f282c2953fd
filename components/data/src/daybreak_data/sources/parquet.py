"""Parquet files with one source file a row, as The Stack has them. A row group is what one task reads.

Columns are mapped by name; a missing one is a UserError that names those there are.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import xxhash

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import ParquetSource
from daybreak_data.sources.entries import (
    Contents,
    FileRef,
    Listing,
    Refused,
    SourceEntry,
    displayable,
    fingerprint_of,
)

BATCH_ROWS = 64
ROLES = ("content", "path", "language", "licence", "repository")


def list_parquet(name: str, source: ParquetSource) -> Listing:
    """List a Parquet file or a folder of them. None there, or a missing column, is a UserError."""
    files = [_file(name, uri) for uri in _files_of(name, source.uri)]
    names = columns_of(source)
    for file in files:
        _require_columns(name, file.location, names)

    def expand() -> Contents:
        refs = [ref for file in files for ref in _row_groups(file, names)]
        if not refs:
            raise UserError(
                f"source {name}: {source.uri} has no rows, point parquet.uri at files that have some"
            )
        return Contents(tuple(_without_repeats(refs, names)))

    return Listing(name, fingerprint_of(files) if files else "", expand)


def columns_of(source: ParquetSource) -> dict[str, str]:
    """Return role to column name, for the roles that the manifest names."""
    named = {role: str(getattr(source, f"{role}_column")) for role in ROLES}
    return {role: column for role, column in named.items() if column}


def _files_of(name: str, uri: str) -> list[str]:
    fs, path = storage.filesystem(uri)
    if not storage.exists(uri):
        raise UserError(f"source {name}: {uri} does not exist, correct parquet.uri")
    if fs.isfile(path):
        return [uri]
    found = [file for file in storage.list_files(uri) if file.endswith((".parquet", ".pq"))]
    if not found:
        raise UserError(f"source {name}: {uri} holds no .parquet files, correct parquet.uri")
    return [storage.join(uri, file) for file in found]


def _file(name: str, uri: str) -> FileRef:
    fs, path = storage.filesystem(uri)
    with storage.translated(uri):
        info = fs.info(path)
    changed = info.get("mtime_ns") or info.get("mtime") or info.get("created") or ""
    stem = uri.rpartition("/")[2].removesuffix(".parquet")
    return FileRef("rows", name, stem, "", "", int(info["size"]), f"{uri}:{info['size']}:{changed}", uri)


def _open(uri: str) -> tuple[Any, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fs, path = storage.filesystem(uri)
    with storage.translated(uri):
        file = fs.open(path, "rb")
    try:
        return file, pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        file.close()
        raise UserError(f"{uri} is not a readable Parquet file: {error}") from error


def _require_columns(name: str, uri: str, names: dict[str, str]) -> None:
    file, parquet = _open(uri)
    with file:
        present = parquet.schema_arrow.names
    for role, column in names.items():
        if column not in present:
            raise UserError(
                f"source {name}: {uri} has no column {column!r} (parquet.{role}Column); "
                f"it has {', '.join(present)}"
            )


def _row_groups(file: FileRef, names: dict[str, str]) -> Iterator[FileRef]:
    reader, parquet = _open(file.location)
    with reader:
        first_row = 0
        for index in range(parquet.num_row_groups):
            group = parquet.metadata.row_group(index)
            details = {"group": str(index), "firstRow": str(first_row), "columns": json.dumps(names)}
            size = int(group.total_byte_size)
            if group.num_rows:
                yield dataclasses.replace(file, path=f"row-group-{index}", size=size, details=details)
            first_row += group.num_rows


def _without_repeats(refs: list[FileRef], names: dict[str, str]) -> Iterator[FileRef]:
    """Note in each row group the rows whose repository and path came before: they would share one id."""
    seen: set[int] = set()
    for ref in refs:
        repeated = []
        for row, repository, path in _identities(ref, names):
            identity = xxhash.xxh3_64_intdigest(f"{repository}\0{path}".encode())
            if identity in seen:
                repeated.append(row)
            seen.add(identity)
        yield dataclasses.replace(ref, details={**ref.details, "repeated": json.dumps(repeated)})


def _identities(ref: FileRef, names: dict[str, str]) -> Iterator[tuple[int, str, str]]:
    for row, values in _rows(ref, {role: names[role] for role in ("path", "repository") if role in names}):
        yield row, *_identity(ref, row, values)


def _identity(ref: FileRef, row: int, values: dict[str, Any]) -> tuple[str, str]:
    """Return repository and path. Without a repository column every row counts as a repository of its own."""
    path = displayable(str(values.get("path") or f"row-{row}")).lstrip("/")
    if "repository" in values:
        return displayable(str(values["repository"] or ref.repository)), path
    return f"{ref.repository}/{row}", path


def _rows(ref: FileRef, names: dict[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield row number in its file and the values by role."""
    if not names:
        return
    file, parquet = _open(ref.location)
    row = int(ref.details["firstRow"])
    with file:
        batches = parquet.iter_batches(
            BATCH_ROWS, row_groups=[int(ref.details["group"])], columns=sorted(set(names.values()))
        )
        for batch in batches:
            columns = {role: batch.column(column) for role, column in names.items()}
            for index in range(batch.num_rows):
                yield row, {role: column[index].as_py() for role, column in columns.items()}
                row += 1


def read_rows(refs: Iterable[FileRef]) -> Iterator[SourceEntry | Refused]:
    """Yield the rows of row groups."""
    for ref in refs:
        repeated = set(json.loads(ref.details.get("repeated", "[]")))
        for row, values in _rows(ref, json.loads(ref.details["columns"])):
            repository, path = _identity(ref, row, values)
            content = values["content"]
            data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
            size = len(data) if data is not None else 0
            if row in repeated:
                yield Refused(repository, path, size, "same-path")
            elif data is None:
                yield Refused(repository, path, 0, "no-content")
            else:
                licence = _text(values.get("licence"))
                yield SourceEntry(
                    repository, path, licence, size, _constant(data), _text(values.get("language"))
                )


def _text(value: Any) -> str:
    """Return a licence or language as text; The Stack has lists of licences."""
    if isinstance(value, list | tuple):
        return " AND ".join(str(part) for part in value)
    return "" if value is None else str(value)


def _constant(data: bytes) -> Callable[[], bytes]:
    return lambda: data
