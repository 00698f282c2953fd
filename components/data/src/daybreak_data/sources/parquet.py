"""Parquet files with one source file a row, as The Stack has them. A row group is what one task reads.

Columns are mapped by name; a missing one is a UserError that names those there are. A file that is torn is broken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import ParquetSource
from daybreak_data.sources import rows
from daybreak_data.sources.entries import (
    Contents,
    FileRef,
    Listing,
    Refused,
    SourceEntry,
    Tolerance,
    fingerprint_of,
)

BATCH_ROWS = 64
SUFFIXES = (".parquet", ".pq")
FIELD = "parquet"
REMEDY = "fetch it again, or set onError: Skip to go on without it"


def list_parquet(name: str, source: ParquetSource, tolerance: Tolerance) -> Listing:
    """List a Parquet file or a folder of them. None there, or a missing column, is a UserError."""
    named, files = rows.columns_of(source), []
    for file in rows.table_files(name, FIELD, source.uri, SUFFIXES):
        ref = rows.file_ref("rows", name, file, SUFFIXES)
        with tolerance.part(ref.repository, reason="torn-file"):
            details = rows.split_columns(name, FIELD, file, _columns_in(name, file.uri), named)
            files.append(dataclasses.replace(ref, details=details))
    tolerance.require_some(files)

    def expand() -> Contents:
        refs = [ref for file in files for ref in _row_groups(name, file)]
        if not refs:
            raise UserError(
                f"source {name}: {source.uri} has no rows, point parquet.uri at files that have some"
            )
        return Contents(tuple(rows.with_revisions(refs, _rows)), tuple(tolerance.broken))

    return Listing(name, artifacts.digest_of([fingerprint_of(files), *tolerance.names()]), expand)


def _open(name: str, uri: str) -> tuple[Any, Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fs, path = storage.filesystem(uri)
    with storage.translated(uri):
        file = fs.open(path, "rb")
    try:
        return file, pq.ParquetFile(file, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        file.close()
        if storage.is_remote(uri) and type(error) is OSError:
            with storage.translated(uri):
                raise
        if ".jsonl" in uri.lower() or ".ndjson" in uri.lower():
            raise UserError(
                f"source {name}: {uri} is JSON Lines, give it as jsonl instead of parquet"
            ) from error
        raise UserError(f"source {name}: {uri} is not a readable Parquet file ({error}), {REMEDY}") from error


def _columns_in(name: str, uri: str) -> list[str]:
    file, parquet = _open(name, uri)
    with file:
        return list(parquet.schema_arrow.names)


def _row_groups(name: str, file: FileRef) -> Iterator[FileRef]:
    reader, parquet = _open(name, file.location)
    with reader:
        first_row = 0
        for index in range(parquet.num_row_groups):
            group = parquet.metadata.row_group(index)
            details = {**file.details, "group": str(index), "firstRow": str(first_row)}
            size = int(group.total_byte_size)
            if group.num_rows:
                yield dataclasses.replace(file, path=f"row-group-{index}", size=size, details=details)
            first_row += group.num_rows


def _rows(ref: FileRef, roles: frozenset[str] = frozenset(rows.ROLES)) -> Iterator[rows.Row | Refused]:
    """Yield the rows of a row group, and at last what is wrong when it is torn."""
    import pyarrow as pa

    try:
        yield from _whole_rows(ref, roles)
    except (pa.ArrowException, OSError, UserError) as error:
        if storage.is_remote(ref.location) and type(error) is OSError:
            with storage.translated(ref.location):
                raise
        detail = f"{ref.location}: {ref.path} is torn ({error}), {REMEDY}"
        yield Refused(ref.repository, ref.path, 0, "torn-file", detail, fatal=True)


def _whole_rows(ref: FileRef, roles: frozenset[str]) -> Iterator[rows.Row]:
    columns, constants = rows.mapping_of(ref, roles)
    file, parquet = _open(ref.source, ref.location)
    row = int(ref.details["firstRow"])
    with file:
        batches = parquet.iter_batches(
            BATCH_ROWS, row_groups=[int(ref.details["group"])], columns=sorted(set(columns.values()))
        )
        for batch in batches:
            found = {role: batch.column(column) for role, column in columns.items()}
            for index in range(batch.num_rows):
                yield row, {**constants, **{role: column[index].as_py() for role, column in found.items()}}
                row += 1


def read_rows(refs: Iterable[FileRef]) -> Iterator[SourceEntry | Refused]:
    """Return the files of row groups."""
    return rows.read_entries(refs, _rows)
