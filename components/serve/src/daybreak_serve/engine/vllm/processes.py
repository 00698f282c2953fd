"""Processes that `multiprocessing` starts, tied to the life of the thread that starts them.

vLLM's own process goes on when Triton's stub is killed, and keeps its memory, a GPU's too. Owns no knowledge of vLLM.
"""

from __future__ import annotations

import multiprocessing
import os
import shlex
import sys
from pathlib import Path

from daybreak_serve import parent_death


def tie_children(folder: Path) -> None:
    """Let every process that this one spawns from now on be ended by the kernel with the thread that spawned it.

    `multiprocessing` starts one program by its path, so one is written into a folder: this Python, behind
    `parent_death`. This process's id stands in the program: asked of its own parent, one that begins only after we
    were killed would hear the id of whoever took it over, and live.
    """
    folder.mkdir(parents=True, exist_ok=True)
    python, before = shlex.quote(sys.executable), shlex.quote(str(Path(parent_death.__file__).resolve()))
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nexec {python} -I -S {before} {os.getpid()} {python} "$@"\n')
    program.chmod(0o755)
    multiprocessing.set_executable(str(program))
