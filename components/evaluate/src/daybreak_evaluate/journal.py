"""What is done already, kept while it is done: an append-only file, so that work goes on where a process was killed.

Owns the file. A line is written whole or is the last one: a torn end is cut off when the file is opened again.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from daybreak_contracts.errors import TransientError


def key_of(*parts: Any) -> str:
    """Return the digest under which a result is kept: of all that it depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class ResultJournal:
    """Results by key; opened by ``with``. ``path`` None keeps nothing beyond the process."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, Any] = {}
        self._descriptor: int | None = None

    def __enter__(self) -> ResultJournal:
        if self._path is not None and self._path.exists():
            self._descriptor = self._open(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def __getitem__(self, key: str) -> Any:
        return self._known[key]

    def __len__(self) -> int:
        return len(self._known)

    def add(self, key: str, value: Any) -> None:
        """Keep a result; when this returns, a killed process has it."""
        self._known[key] = value
        if self._path is not None and self._descriptor is None:
            self._descriptor = self._open(self._path)
        if self._descriptor is not None:
            line = json.dumps([key, value]).encode() + b"\n"
            if os.write(self._descriptor, line) != len(line):
                raise TransientError(
                    f"{self._path}: cannot be written, is the disk full? Make room and run again"
                )

    def forget(self) -> None:
        """Remove the file: its results have reached their place."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _open(self, path: Path) -> int:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            with os.fdopen(os.dup(descriptor), "rb") as file:
                whole = self._read(file.read())
            os.ftruncate(descriptor, whole)
        except OSError as error:
            raise TransientError(f"{path}: cannot be written ({error})") from error
        return descriptor

    def _read(self, data: bytes) -> int:
        """Take over the lines that are whole; return where they end."""
        whole = 0
        for line in data.splitlines(keepends=True):
            try:
                entry = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n") or not isinstance(entry, list) or len(entry) != 2:
                break
            self._known[str(entry[0])] = entry[1]
            whole += len(line)
        return whole
