"""Control groups of boxes: the kernel limits what all processes of a box use together, where we may make groups.

Owns finding a place for groups (version 2 delegated to us, or version 1), making one for each box, and what it says.
Where there is none the warden looks at the processes instead (``meter``), and the protocol says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daybreak_evaluate.judge.cgroup import MEMBERSHIPS, ROOT, folders, groups

PREFIX = "daybreak-box-"
SWAP_FILES = ("memory.swap.max", "memory.memsw.limit_in_bytes")
BY_GROUP = "memory of a command and its children limited together by a control group"


@dataclass(frozen=True)
class BoxGroups:
    """A place for groups, or why there is none."""

    parent: Path | None = None
    limit_file: str = "memory.max"
    reason: str = ""

    @property
    def detail(self) -> str:
        """Say it for the protocol."""
        if self.parent is not None:
            return BY_GROUP
        return f"memory of a command and its children added up every 50 ms, no control group ({self.reason})"

    def make(self, name: str, memory_bytes: int) -> BoxGroup | None:
        """Return a new group with a limit; None where there is no place for it."""
        if self.parent is None:
            return None
        folder = self.parent / f"{PREFIX}{os.getpid()}-{name}"
        folder.mkdir(exist_ok=True)
        (folder / self.limit_file).write_text(str(memory_bytes))
        for file, value in (
            (SWAP_FILES[0], "0"),
            (SWAP_FILES[1], str(memory_bytes)),
            ("memory.oom.group", "1"),
        ):
            with suppress(OSError):  # not of this version, or the kernel does not count it
                (folder / file).write_text(value)
        return BoxGroup(folder)

    def sweep(self) -> None:
        """Remove groups of wardens that are gone, killed before they could."""
        for folder in self.parent.glob(f"{PREFIX}*") if self.parent is not None else ():
            pid = folder.name.removeprefix(PREFIX).partition("-")[0]
            if pid == str(os.getpid()) or not Path("/proc", pid).exists():
                with suppress(OSError):  # somebody is in it, or another warden was faster
                    folder.rmdir()


@dataclass(frozen=True)
class BoxGroup:
    """The group of one box."""

    folder: Path

    def enter(self) -> None:
        """Move the calling process in; what it starts from now on is in it too."""
        (self.folder / "cgroup.procs").write_text("0")

    def was_over(self) -> bool:
        """Tell whether the kernel killed a process of it for want of memory."""
        for file in ("memory.events", "memory.oom_control"):
            with suppress(OSError):
                words = (self.folder / file).read_text().split()
                return int(dict(zip(words[::2], words[1::2], strict=False)).get("oom_kill", "0")) > 0
        return False

    def remove(self) -> None:
        """Remove it; the kernel may need a moment for what was in it, then ``BoxGroups.sweep`` does."""
        with suppress(OSError):
            self.folder.rmdir()


def find_groups(memberships: str | None = None, root: Path = ROOT) -> BoxGroups:
    """Return where groups of boxes can be made, tried by making one."""
    text = MEMBERSHIPS.read_text() if memberships is None else memberships
    reasons = []
    for parent, limit_file in _places(text, root):
        found = BoxGroups(parent, limit_file)
        try:
            group = found.make("try", 1 << 30)
        except OSError as error:
            found.sweep()
            reasons.append(f"{error.strerror}: {parent}")
            continue
        if group is not None:
            group.remove()
        return found
    return BoxGroups(reason=reasons[0] if reasons else "no controller of memory is mounted here")


def _places(memberships: str, root: Path) -> Iterator[tuple[Path, str]]:
    """Yield folders below which a group may be made, the nearest first.

    Version 1 takes a child of our own group. In version 2 a group that has processes gives its children no controllers,
    so a sibling of ours is made, in the group around us that was delegated; the root of all groups is the exception.
    """
    for controllers, path in groups(memberships):
        found = list(folders(controllers, path, root))
        if "memory" in controllers.split(","):
            yield from ((folder, "memory.limit_in_bytes") for folder in found[:1])
        elif not controllers:
            for folder in found:
                with suppress(OSError):
                    if "memory" in (folder / "cgroup.subtree_control").read_text().split():
                        yield folder, "memory.max"
