"""Rows of a file of problems, each with its place, so that every complaint names file, line and field.

Owns JSON Lines (plain or gz), a JSON array and Parquet, and the check of the file's digest.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from daybreak_contracts import storage
from daybreak_contracts.errors import UserError

MAX_FILE_BYTES = 1 << 30
"""The largest public one, MBXP in Java, has 2.4 MB; what is a thousand times that is no file of problems."""
SHOWN = 60


@dataclass(frozen=True)
class ProblemRow:
    """One row and where it stands."""

    place: str
    """As ``go.jsonl.gz, line 12``."""
    values: dict[str, Any]

    def text(self, field: str) -> str:
        """Return a field that must be text."""
        value = self._required(field)
        if not isinstance(value, str):
            raise UserError(f"{self.place}: {field} must be text, got {_shown(value)}")
        return value

    def label(self, field: str) -> str:
        """Return what names the row: a text or a whole number."""
        value = self._required(field)
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise UserError(f"{self.place}: {field} must be a text or a whole number, got {_shown(value)}")
        return str(value)

    def optional_text(self, field: str) -> str | None:
        """Return a field that may be missing or null; what is there must be text."""
        return None if self.values.get(field) is None else self.text(field)

    def texts(self, field: str) -> tuple[str, ...]:
        """Return a list of texts; missing means none."""
        value = self.values.get(field)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise UserError(f"{self.place}: {field} must be a list of texts, got {_shown(value)}")
        return tuple(value)

    def _required(self, field: str) -> Any:
        if field not in self.values:
            has = ", ".join(sorted(self.values)) or "nothing"
            raise UserError(f"{self.place}: field {field} is missing, it has {has}; is the format right?")
        return self.values[field]


def read_problems(uri: str, sha256: str) -> list[ProblemRow]:
    """Return the rows of a file; another digest than the expected one is a UserError that says both."""
    data = storage.read_bytes(uri)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.removeprefix("sha256:"):
        raise UserError(
            f"{uri}: its sha256 is {found}, expected {sha256.removeprefix('sha256:')}; the file has changed, or the "
            "manifest means another one"
        )
    return rows_of(uri, data)


def rows_of(name: str, data: bytes) -> list[ProblemRow]:
    """Return the rows in a file's bytes; its name says how it is written."""
    if name.endswith(".parquet"):
        rows = list(_parquet_rows(name, data))
    else:
        text = _decoded(name, _unpacked(name, data))
        rows = list(_array_rows(name, text) if text.lstrip()[:1] == "[" else _line_rows(name, text))
    if not rows:
        raise UserError(f"{name}: no problem in it, give one JSON object a line")
    return rows


def _unpacked(name: str, data: bytes) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            unpacked = file.read(MAX_FILE_BYTES + 1)
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{name}: cannot be unpacked ({error}), fetch it again") from error
    if len(unpacked) > MAX_FILE_BYTES:
        raise UserError(f"{name}: unpacks to more than {MAX_FILE_BYTES >> 30} GiB, split it")
    return unpacked


def _decoded(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name}, line {line}: not UTF-8 ({error.reason})") from error


def _line_rows(name: str, text: str) -> Iterator[ProblemRow]:
    for number, line in enumerate(text.split("\n"), 1):  # no splitlines: U+2028 may stand in a JSON string
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{place}: not JSON ({error})") from error
        yield _row(place, values)


def _array_rows(name: str, text: str) -> Iterator[ProblemRow]:
    try:
        items = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name}: not JSON ({error})") from error
    for number, item in enumerate(items, 1):
        yield _row(f"{name}, item {number}", item)


def _parquet_rows(name: str, data: bytes) -> Iterator[ProblemRow]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(
            f"{name}: reading Parquet needs pyarrow, install it or give JSON Lines instead"
        ) from error
    try:
        rows = parquet.read_table(io.BytesIO(data)).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{name}: not Parquet ({error})") from error
    for number, values in enumerate(rows, 1):
        yield _row(f"{name}, row {number}", values)


def _row(place: str, values: Any) -> ProblemRow:
    if not isinstance(values, dict):
        raise UserError(f"{place}: must be a JSON object, got {_shown(values)}")
    return ProblemRow(place, values)


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
