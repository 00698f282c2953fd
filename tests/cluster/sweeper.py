"""Wait for the end of a process, then remove a folder: ``python sweeper.py PID FOLDER``.

Run by path, so that it needs nothing but the standard library. Knows no more than the number and the path.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path

LOOK_EVERY_S = 0.2
TRIES = 50


def main(parent: int, folder: Path) -> None:
    """Remove the folder once the parent is gone; what still writes into it is dying, so try for a while."""
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    for _ in range(TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
