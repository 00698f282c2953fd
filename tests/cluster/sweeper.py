"""Wait for the end of a process, then remove a folder: ``python sweeper.py PID FOLDER [CGROUP]``.

Run by path, so that it needs nothing but the standard library. A cgroup is removed
in every hierarchy, from its leaves up.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

LOOK_EVERY_S = 0.2
TRIES = 50


CGROUPS = Path("/sys/fs/cgroup")


def main(parent: int, folder: Path, cgroup: str | None = None) -> None:
    """Remove the folder once the parent is gone; what still writes into it is dying, so try for a while."""
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    sweep(folder, cgroup)


def sweep(folder: Path, cgroup: str | None = None) -> None:
    """Remove folder and cgroup, as soon as nothing holds them any more."""
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        left = remove_cgroup(cgroup) if cgroup else []
        if not folder.exists() and not left:
            return
        time.sleep(LOOK_EVERY_S)


def remove_cgroup(name: str) -> list[Path]:
    """Remove a cgroup in every hierarchy (version 1) or in the one (version 2); return what still has processes."""
    tops = [path for path in [CGROUPS / name, *CGROUPS.glob(f"*/{name}")] if path.is_dir()]
    left = []
    for top in tops:
        for path in sorted([top, *(path for path in top.rglob("*") if path.is_dir())], reverse=True):
            try:
                path.rmdir()
            except OSError:
                left.append(path)
    return left


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
