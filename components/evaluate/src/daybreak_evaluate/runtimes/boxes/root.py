"""The root that a box sees: a tool chain's readable places, nothing else of the machine.

Owns the plan (folders, symbolic links and mounts in their order, made once) and carrying it out in each box.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daybreak_evaluate.judge import kernel
from daybreak_evaluate.judge.rootfs import DEVICES, LIBRARY_FOLDERS

MOUNT_POINT = "/proc"
"""Any folder that is there: only this box's mount namespace sees it covered."""
LOADER_FILES = ("/etc/ld.so.cache",)
MAX_LINKS = 40


@dataclass
class RootPlan:
    """What to make, in order."""

    folders: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    mounts: dict[str, str] = field(default_factory=dict)
    """Place in the root to where it is on the machine."""

    def show(self, place: str) -> None:
        """Show a file or folder of the machine, and the symbolic links on the way to it."""
        for _ in range(MAX_LINKS):
            link = self._first_link(place)
            if not link:
                break
            target = str(Path(link).readlink())
            self.links.setdefault(link, target)
            place = os.path.normpath(f"{Path(link).parent / target}{place[len(link) :]}")
        if Path(place).exists() and not self._is_shown(place):
            self.mounts[place] = place

    def _is_shown(self, path: str) -> bool:
        return any(path == target or path.startswith(target + "/") for target in self.mounts)

    def _first_link(self, place: str) -> str:
        """Return the first symbolic link on the way, empty when there is none outside what is shown already."""
        path = ""
        for part in place.strip("/").split("/"):
            path += "/" + part
            if self._is_shown(path):
                return ""
            if Path(path).is_symlink():
                return path
            if path != place and path not in self.folders:
                self.folders.append(path)
        return ""


def plan_root(places: Sequence[str], moved: Sequence[tuple[str, str]] = ()) -> RootPlan:
    """Return the plan for these places besides the C library; ``moved``: folders that get another name."""
    plan = RootPlan()
    libraries = [folder.format(kernel.machine()) for folder in LIBRARY_FOLDERS]
    for place in [*libraries, *LOADER_FILES, *DEVICES, *sorted(places, key=len)]:
        if Path(place).exists():
            plan.show(place)
    for source, name in moved:
        plan.mounts[name] = source
    return plan


def build_root(
    plan: RootPlan,
    shared: Sequence[tuple[str, str, bool]],
    files: Sequence[tuple[str, str]],
    file_bytes: int,
    *,
    runs_tmp: bool = True,
) -> None:
    """Make the planned root ours, with /tmp, the files in /job and the ``shared`` folders (source, name, writable).

    Needs a mount namespace of our own and the right to mount.
    """
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    root, safe = MOUNT_POINT, kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("tmpfs", root, "tmpfs", safe, "size=64m,mode=755")
    for folder in plan.folders:
        Path(root + folder).mkdir(parents=True, exist_ok=True)
    for link, target in plan.links.items():
        Path(root + link).parent.mkdir(parents=True, exist_ok=True)
        Path(root + link).symlink_to(target)
    for name, source in plan.mounts.items():
        _bind(source, root + name, writable=source in DEVICES)
    for source, name, writable in shared:
        _bind(source, root + name, writable=writable)
    for name, text in files:
        path = Path(f"{root}/job/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    Path(root + "/tmp").mkdir(exist_ok=True)
    held = safe if runs_tmp else safe | kernel.MS_NOEXEC
    kernel.mount("tmpfs", root + "/tmp", "tmpfs", held, f"size={file_bytes},nr_inodes=16384,mode=1777")
    kernel.pivot_into(root)
    kernel.make_read_only("/", recursive=False)


def _bind(source: str, target: str, *, writable: bool) -> None:
    if Path(source).is_dir():
        Path(target).mkdir(parents=True, exist_ok=True)
    else:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).touch()
    kernel.mount(source, target, None, kernel.MS_BIND | kernel.MS_REC)
    if not writable:
        kernel.make_read_only(target)
