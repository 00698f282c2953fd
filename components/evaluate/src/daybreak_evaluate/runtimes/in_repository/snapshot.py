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
MAX_MODULE_BYTES = 768 << 20
"""Of what npm installed, which the sandbox reads where it lies; a bundler's or a compiler's program is one file."""
UNREAD = (".map", ".md", ".markdown", ".flow")
"""What lies beside a package's programs and no test reads."""


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
    """Return the paths of the files that are taken, in order; ``with_modules``: also what npm installed.

    Packages are taken whole (their code lies in ``dist``), with the links that lead from one to another.
    """
    left_out = LEFT_OUT - {MODULES} if with_modules else LEFT_OUT
    found = []
    own = modules = 0
    for root, folders, names in os.walk(folder):
        inside = with_modules and MODULES in Path(root).relative_to(folder).parts
        linked = [name for name in folders if inside and _leads_within(Path(root, name), folder)]
        if inside:
            folders[:] = sorted(name for name in folders if name != ".cache" and name not in linked)
        else:
            folders[:] = sorted(
                name for name in folders if name not in left_out and not name.endswith(".egg-info")
            )
        for name in sorted([*names, *linked]):
            path = Path(root, name)
            if path.is_symlink():
                if inside and _leads_within(path, folder):
                    found.append(path.relative_to(folder).as_posix())
            elif inside and not name.endswith(UNREAD) and path.is_file():
                modules += path.stat().st_size
                found.append(path.relative_to(folder).as_posix())
            elif not inside and path.is_file() and path.stat().st_size <= MAX_FILE_BYTES:
                own += path.stat().st_size
                found.append(path.relative_to(folder).as_posix())
    for total, most, remedy in (
        (own, MAX_BYTES, "point at a folder that holds the package and its tests"),
        (modules, MAX_MODULE_BYTES, "install what the tests need alone"),
    ):
        if total > most:
            kind = "files" if total is own else f"files in {MODULES}"
            raise UserError(
                f"{folder}: {total >> 20} MiB of {kind}, at most {most >> 20} MiB fit the sandbox; {remedy}"
            )
    return found


def _leads_within(path: Path, folder: Path) -> bool:
    """Tell whether a path is a link to something that is taken with it."""
    if not path.is_symlink() or path.readlink().is_absolute():
        return False
    target = Path(os.path.normpath(path.parent / path.readlink()))
    return target.is_relative_to(folder) and target.exists()


def pack(folder: Path, *, with_modules: bool = False) -> bytes:
    """Return the files as tar.gz without owners and times."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=6) as stream,
        tarfile.open(fileobj=stream, mode="w") as tar,
    ):
        for path in files_of(folder, with_modules=with_modules):
            member = tarfile.TarInfo(path)
            if (folder / path).is_symlink():
                member.type, member.linkname = tarfile.SYMTYPE, str((folder / path).readlink())
                tar.addfile(member)
                continue
            data = (folder / path).read_bytes()
            member.size = len(data)
            member.mode = 0o755 if (folder / path).stat().st_mode & 0o100 else 0o644
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Lay the files into a folder; members that point elsewhere are refused by tarfile's data filter."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        tar.extractall(folder, filter="data")
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    folder.chmod(0o755)
