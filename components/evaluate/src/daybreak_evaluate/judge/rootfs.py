"""What a candidate can read, the interpreter's standard library and a few packages, and where it may write.

Owns the list of places, the small root file system that tier 2 shows, and the folders for temporary files of tier 1.
Data sets, this project and every other file of the machine are out of reach, so a candidate cannot look answers up.
"""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from daybreak_evaluate.judge import kernel

PACKAGES = (
    "numpy",
    "numpy.libs",
    "scipy",
    "scipy.libs",
    "sympy",
    "mpmath",
    "pandas",
    "dateutil",
    "six.py",
    "pytz",
    "tzdata",
)
"""Packages that completions of HumanEval import now and then; there when the environment has them."""
SITE_VARIABLE = "DAYBREAK_JUDGE_PACKAGES"
"""Names the folder of packages to the judge's own processes."""
SITE_FOLDERS = ("site-packages", "dist-packages")
LIBRARY_FOLDERS = ("/lib64", "/usr/lib64", "/lib/{}-linux-gnu", "/usr/lib/{}-linux-gnu")
DATA_FOLDERS = ("/usr/share/zoneinfo", "/usr/lib/locale")
"""Time zones and locales, which the standard library reads."""
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


@functools.cache
def standard_library() -> list[str]:
    """Return the folders of the standard library, extension modules included."""
    names = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    return sorted({os.path.realpath(name) for name in names if name and Path(name).is_dir()})


@functools.cache
def site_folder() -> str:
    """Return where the caller's environment has its packages; empty when there is no such folder.

    A bare interpreter does not know: without ``site`` it is not even aware of being in a virtual environment.
    """
    folder = os.environ.get(SITE_VARIABLE, "")
    return folder if Path(folder).is_absolute() and Path(folder).is_dir() else ""


def search_path() -> list[str]:
    """Return ``sys.path`` for candidates."""
    folders = standard_library()
    dynamic = [f"{folder}/lib-dynload" for folder in folders if Path(folder, "lib-dynload").is_dir()]
    return [*folders, *dynamic, *([site_folder()] if site_folder() else [])]


@functools.cache
def _libraries() -> list[str]:
    found = [folder.format(kernel.machine()) for folder in LIBRARY_FOLDERS]
    shared = Path(sysconfig.get_config_var("LIBDIR") or "/nonexistent").glob("libpython3*.so*")
    folders = (path for path in [*found, *DATA_FOLDERS] if Path(path).is_dir())
    return [*folders, *(str(path) for path in shared)]


@functools.cache
def _packages() -> list[str]:
    folder = site_folder()
    return [f"{folder}/{name}" for name in PACKAGES if folder and Path(folder, name).exists()]


def readable_places() -> list[str]:
    """Return files and folders that a candidate may read, packages of the environment one by one."""
    places = [*_libraries(), *_packages(), *(path for path in DEVICES if Path(path).exists())]
    for folder in standard_library():
        places += [str(path) for path in sorted(Path(folder).iterdir()) if path.name not in SITE_FOLDERS]
    return places


def listed_folders() -> list[str]:
    """Return folders whose names a candidate may list without reading what is in them."""
    return [*standard_library(), *([site_folder()] if site_folder() else [])]


@functools.cache
def scratch_folder() -> str:
    """Return where a candidate may write: ``/tmp``, unless that would cover the environment or the interpreter."""
    covered = any(folder.startswith("/tmp/") for folder in search_path())
    return "/scratch" if covered else "/tmp"


def build_root() -> None:
    """Mount a root with nothing but the readable places, and make it ours. Needs a mount namespace of our own."""
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    root = (
        "/proc"  # any folder that is there: only this namespace sees it covered, and no file is left behind
    )
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=4m,mode=755")
    folders = [*standard_library(), *(path for path in _libraries() if Path(path).is_dir())]
    for path in outermost([*standard_library(), *_libraries(), *DEVICES]):
        _bind(path, root)
    hidden = _hide_site_folders(folders, root)
    for path in _packages():
        _bind(path, root)
    for path in hidden:
        kernel.make_read_only(path, recursive=False)
    Path(root + scratch_folder()).mkdir(exist_ok=True)
    kernel.pivot_into(root)
    kernel.make_read_only("/", recursive=False)


def outermost(paths: Iterable[str]) -> list[str]:
    """Leave out what lies inside another of the paths: it comes along, and its place there can't be written to.

    Debian's own Python keeps libpython in the folder of the system's libraries.
    """
    kept: list[str] = []
    for path in sorted(set(paths), key=len):
        if not any(Path(path).is_relative_to(folder) for folder in kept):
            kept.append(path)
    return kept


def _bind(source: str, root: str) -> None:
    if not Path(source).exists():
        return
    target = Path(root + source)
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    kernel.mount(source, str(target), None, kernel.MS_BIND | kernel.MS_REC)
    if source not in DEVICES:
        kernel.make_read_only(str(target))


def _hide_site_folders(folders: list[str], root: str) -> list[str]:
    """Lay an empty folder over every ``site-packages`` that came along inside a bound folder."""
    hidden = []
    for folder in folders:
        for name in SITE_FOLDERS:
            hidden += [
                path for path in [Path(folder, name), *Path(folder).glob(f"python3*/{name}")] if path.is_dir()
            ]
    for path in hidden:
        kernel.mount(
            "tmpfs", root + str(path), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=64k,mode=755"
        )
    return [root + str(path) for path in hidden]


def use_search_path(folders: list[str]) -> None:
    """Make imports look only where a candidate may read."""
    sys.path[:] = folders
    sys.path_importer_cache.clear()


SCRATCH_PREFIX = "daybreak-scratch-"
MAX_ENTRIES = 1024
"""Files and folders of one candidate; as many as the file system of tier 2 has room for."""


def make_scratch(temporary: str) -> str:
    """Return a new folder for all slots of tier 1; others may pass through it, and list nothing."""
    folder = tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=temporary)
    Path(folder).chmod(0o711)
    return folder


def slot_folder(scratch: str, slot: int) -> str:
    """Return where a slot's candidate may write."""
    return f"{scratch}/{slot}"


def open_slot(scratch: str, slot: int, uid: int | None) -> None:
    """Make a slot's folder if it is not there; it stays, as Landlock knows it by what it is and not by its name."""
    folder = Path(slot_folder(scratch, slot))
    with suppress(FileExistsError):
        folder.mkdir(0o700)
        if uid is not None:
            os.chown(folder, uid, uid)


def used_bytes(folder: str) -> int | None:
    """Return what a folder holds; None for more than MAX_ENTRIES, or nested beyond what a path can say."""
    waiting, count, total = [folder], 0, 0
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    count += 1
                    if count > MAX_ENTRIES:
                        return None
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue  # it was removed meanwhile, or closed
        except OSError:
            return None
    return total


def empty_folder(folder: str) -> None:
    """Remove all that is in a folder. What lies deep is moved up first, so that no path is too long."""
    token, moved = secrets.token_hex(8), 0
    while paths := list(Path(folder).iterdir()):
        for path in paths:
            if not _opened(path):
                path.unlink()
                continue
            for inner in list(path.iterdir()):
                if _opened(inner):
                    moved += 1
                    inner.rename(f"{folder}/{token}{moved}")
                else:
                    inner.unlink()
            path.rmdir()


def _opened(path: Path) -> bool:
    """Tell whether it is a folder, and let us in whatever its owner did."""
    if path.is_symlink() or not path.is_dir():
        return False
    path.chmod(0o700)
    return True


def remove_scratch(scratch: str) -> None:
    """Remove everything; nothing where there is nothing."""
    if scratch and Path(scratch).is_dir():
        for folder in list(Path(scratch).iterdir()):
            with suppress(OSError):
                empty_folder(str(folder))
        shutil.rmtree(scratch, ignore_errors=True)
