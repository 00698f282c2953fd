"""A repository as one file beside its tasks: packed so that equal trees are equal bytes, unpacked for the sandbox.

Owns which files are taken: all but version control, caches and what is large.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Self

from daybreak_contracts.errors import UserError

LEFT_OUT = frozenset((".git", ".hg", ".svn", "__pycache__", ".venv", "venv", "node_modules", ".tox", ".mypy_cache",
                      ".pytest_cache", ".ruff_cache", "dist", "build"))  # fmt: skip
MODULES = "node_modules"
MAX_FILE_BYTES = 8 << 20
MAX_BYTES = 48 << 20
"""The sandbox lays its copy into memory."""


class LaidOut:
    """A snapshot's files in a folder that sandboxes may read, by ``with``."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Self:
        self.place.mkdir()
        unpack(self._packed, self.place)
        Path(self._folder.name).chmod(0o755)
        return self

    def __exit__(self, *unused: object) -> None:
        self._folder.cleanup()

    @property
    def place(self) -> Path:
        """Where the files lie."""
        return Path(self._folder.name) / "repository"


def files_of(folder: Path, *, with_modules: bool = False) -> list[str]:
    """Return the paths of the files that are taken, in order; ``with_modules``: also what npm installed."""
    left_out = LEFT_OUT - {MODULES} if with_modules else LEFT_OUT
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in left_out and not name.endswith(".egg-info")
        )
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_FILE_BYTES:
                found.append(path.relative_to(folder).as_posix())
    total = sum((folder / path).stat().st_size for path in found)
    if total > MAX_BYTES:
        raise UserError(
            f"{folder}: {total >> 20} MiB of files, at most {MAX_BYTES >> 20} MiB fit the sandbox; point at a folder "
            "that holds the package and its tests"
            + ("; npm ci --omit=dev leaves less" if with_modules else "")
        )
    return found


def pack(folder: Path, *, with_modules: bool = False) -> bytes:
    """Return the files as tar.gz without owners and times."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as tar,
    ):
        for path in files_of(folder, with_modules=with_modules):
            data = (folder / path).read_bytes()
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), 0o644
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Lay the files into a folder; members that point elsewhere are refused by tarfile's data filter."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        tar.extractall(folder, filter="data")
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder.chmod(0o755)
