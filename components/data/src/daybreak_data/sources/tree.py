"""Walks a folder without leaving it: no symbolic link is followed, no device is opened, the order is fixed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from daybreak_data.sources.entries import VERSION_CONTROL_AND_CACHES


@dataclass(frozen=True, slots=True)
class Found:
    """A name below the root; ``problem`` is a reason to refuse it, empty for a plain file."""

    path: str
    size: int
    mtime_ns: int
    problem: str = ""
    detail: str = ""


def walk(root: Path, enters: Callable[[str], bool] = lambda _: True) -> Iterator[Found]:
    """Yield everything below ``root`` in the order of the names; ``enters`` gets a folder's relative path."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        found, folders = _list(root, folder)
        yield from found
        waiting.extend(reversed([name for name in folders if enters(name)]))


def _list(root: Path, folder: str) -> tuple[list[Found], list[str]]:
    found, folders = [], []
    try:
        with os.scandir(root / folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in VERSION_CONTROL_AND_CACHES:
                        folders.append(path)
                else:
                    found.append(_look(entry, path))
    except OSError as error:
        return [Found(folder or ".", 0, 0, "unreadable", error.strerror or "")], []
    return found, folders


def _look(entry: os.DirEntry[str], path: str) -> Found:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError as error:
        return Found(path, 0, 0, "unreadable", error.strerror or "")
    if stat.S_ISLNK(status.st_mode):
        return Found(path, 0, status.st_mtime_ns, "symbolic-link")
    if not stat.S_ISREG(status.st_mode):
        return Found(path, 0, status.st_mtime_ns, "special-file")
    return Found(path, status.st_size, status.st_mtime_ns)
