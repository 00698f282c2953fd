"""What sources of rows share: which columns hold what, whose file a row is, and which rows are further revisions.

Owns no file format. A row is one source file; columns may also come from folders that are named as ``lang=Python``.
"""

from __future__ import annotations

import dataclasses
import json
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import xxhash

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import TableSource
from daybreak_data.sources.entries import FileRef, Refused, SourceEntry, displayable

ROLES = ("content", "path", "language", "licence", "repository")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""What Hive and Spark name a folder for rows without a value."""
MULTIPL_E = frozenset(("prompt", "doctests", "prompt_terminology", "tests", "stop_tokens"))
"""Columns that MultiPL-E's files have together (nuprl/MultiPL-E), and nobody else's."""
Row = tuple[int, Mapping[str, Any]]
"""A number that only this row of its file has, and the values by role."""


@dataclasses.dataclass(frozen=True)
class TableFile:
    """One file of a table."""

    uri: str
    below: str
    """Its path below the source's folder; its own name where the source is one file."""
    columns: dict[str, str]
    """Columns that its folders give."""


def columns_of(source: TableSource) -> dict[str, str]:
    """Return role to column name, for the roles that the manifest names."""
    named = {role: str(getattr(source, f"{role}_column")) for role in ROLES}
    return {role: column for role, column in named.items() if column}


def table_files(name: str, field: str, uri: str, suffixes: tuple[str, ...]) -> list[TableFile]:
    """Return the one file, or those of a folder with these suffixes; hidden and unfinished ones are left out."""
    fs, path = storage.filesystem(uri)
    if not storage.exists(uri):
        raise UserError(f"source {name}: {uri} does not exist, correct {field}.uri")
    if fs.isfile(path):
        return [TableFile(uri, uri.rpartition("/")[2], _columns_of_folders(uri))]
    below = [file for file in storage.list_files(uri) if _is_data(file, suffixes)]
    if not below:
        raise UserError(f"source {name}: {uri} holds no {suffixes[0]} files, correct {field}.uri")
    return [TableFile(storage.join(uri, file), file, _columns_of_folders(f"{uri}/{file}")) for file in below]


def _is_data(file: str, suffixes: tuple[str, ...]) -> bool:
    """Spark and its kin begin what is no data (``_SUCCESS``, ``_temporary``) with a dash below or a dot."""
    hidden = any(part.startswith(("_", ".")) and "=" not in part for part in file.split("/"))
    return file.lower().endswith(suffixes) and not hidden


def _columns_of_folders(uri: str) -> dict[str, str]:
    found = {}
    for folder in uri.split("/")[:-1]:
        column, separator, value = folder.partition("=")
        if separator and column:
            found[urllib.parse.unquote(column)] = "" if value == NO_VALUE else urllib.parse.unquote(value)
    return found


def file_ref(kind: str, name: str, file: TableFile, suffixes: Iterable[str]) -> FileRef:
    """Return the reference of a whole file; its name is the repository of rows that name none."""
    fs, path = storage.filesystem(file.uri)
    with storage.translated(file.uri):
        info = fs.info(path)
    changed = info.get("mtime_ns") or info.get("mtime") or info.get("created") or ""
    repository = file.below
    for suffix in suffixes:
        if repository.lower().endswith(suffix):
            repository = repository[: -len(suffix)]
            break
    fingerprint = f"{file.uri}:{info['size']}:{changed}"
    return FileRef(kind, name, displayable(repository), "", "", int(info["size"]), fingerprint, file.uri)


def split_columns(
    name: str, field: str, file: TableFile, present: Sequence[str], named: Mapping[str, str]
) -> dict[str, str]:
    """Return what the reader needs: ``columns`` (role to a column of the file) and ``constants`` (role to a value).

    A column that neither the file nor its folders have is a UserError with those there are.
    """
    if set(present) >= MULTIPL_E:
        raise UserError(
            f"source {name}: {file.uri} holds MultiPL-E's problems, whose licence forbids training on them; take it "
            "out of data.sources"
        )
    columns, constants = {}, {}
    for role, column in named.items():
        if column in present:
            columns[role] = column
        elif column in file.columns and role != "content":
            constants[role] = file.columns[column]
        else:
            raise UserError(
                f"source {name}: {_missing(field, file, [*present, *file.columns], role, column)}"
            )
    return {"columns": json.dumps(columns), "constants": json.dumps(constants)}


def mapping_of(ref: FileRef, roles: frozenset[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the columns and the constants that ``split_columns`` noted, for some of the roles."""
    columns, constants = (
        {role: text for role, text in json.loads(ref.details[part]).items() if role in roles}
        for part in ("columns", "constants")
    )
    return columns, constants


def _missing(field: str, file: TableFile, present: Sequence[str], role: str, column: str) -> str:
    said = f"{file.uri} has no column {column!r} ({field}.{role}Column); it has {', '.join(present)}"
    if role == "content" and "blob_id" in present:
        return (
            f"{said}. These are the names of files without their text, as The Stack v2 publishes them: fetch each "
            f"blob_id from Software Heritage (s3://softwareheritage/content/), decode it by src_encoding, and write "
            f"the text into a column {column!r} first"
        )
    if role == "path" and "max_stars_repo_path" in present:
        return (
            f"{said}. These are the columns of The Stack: set pathColumn: max_stars_repo_path, repositoryColumn: "
            "max_stars_repo_name, licenceColumn: max_stars_repo_licenses, languageColumn: lang"
        )
    return said


def identity_of(ref: FileRef, row: int, values: Mapping[str, Any]) -> tuple[str, str]:
    """Return repository and path. Without a repository column every row counts as a repository of its own."""
    path = displayable(str(values.get("path") or f"row-{row}")).lstrip("/") or f"row-{row}"
    if "repository" in values:
        return displayable(str(values["repository"] or ref.repository)), path
    return f"{ref.repository}/{row}", path


def with_revisions(
    refs: Iterable[FileRef], rows_of: Callable[[FileRef, frozenset[str]], Iterator[Row | Refused]]
) -> Iterator[FileRef]:
    """Note in each reference the rows whose repository and path came before, and how often.

    Only rows that name their repository can repeat. ``rows_of`` gets the roles that are asked for.
    """
    seen: dict[int, int] = {}
    for ref in refs:
        named = set().union(*mapping_of(ref, frozenset(ROLES)))
        if "repository" not in named:
            yield ref
            continue
        revisions: dict[int, int] = {}
        for item in rows_of(ref, frozenset({"path", "repository"} & named)):
            if isinstance(item, Refused):
                continue  # told when it is read
            repository, path = identity_of(ref, *item)
            identity = xxhash.xxh3_64_intdigest(f"{repository}\0{path}".encode())
            if identity in seen:
                revisions[item[0]] = seen[identity]
            seen[identity] = seen.get(identity, 0) + 1
        yield dataclasses.replace(ref, details={**ref.details, "revisions": json.dumps(revisions)})


def read_entries(
    refs: Iterable[FileRef], rows_of: Callable[[FileRef], Iterator[Row | Refused]]
) -> Iterator[SourceEntry | Refused]:
    """Yield the files that the rows of references are."""
    for ref in refs:
        later = {int(row): number for row, number in json.loads(ref.details.get("revisions", "{}")).items()}
        for item in rows_of(ref):
            yield item if isinstance(item, Refused) else _entry_of(ref, *item, later.get(item[0], 0))


def _entry_of(ref: FileRef, row: int, values: Mapping[str, Any], revision: int) -> SourceEntry | Refused:
    """Return the file that a row is."""
    repository, path = identity_of(ref, row, values)
    content = values["content"]
    if content is None:
        return Refused(repository, path, 0, "no-content", "the row has no text")
    if not isinstance(content, str | bytes):
        return Refused(repository, path, 0, "no-content", f"the text is {type(content).__name__}, not text")
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    licence, language = _text(values.get("licence")), _text(values.get("language"))
    return SourceEntry(repository, path, licence, len(data), lambda: data, language, revision)


def _text(value: Any) -> str:
    """Return a licence or language as text; The Stack has lists of licences."""
    if isinstance(value, list | tuple):
        return displayable(" AND ".join(str(part) for part in value))
    return "" if value is None else displayable(str(value))
