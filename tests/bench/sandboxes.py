"""The judge's sandbox beside bubblewrap, sandlock and libseccomp's bindings: time per sample, and what gets out.

Needs root or user namespaces, and Debian's `bubblewrap`. docs/decisions/0050 draws the conclusion.
"""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daybreak_contracts.errors import UserError
from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.values import Program
from tests.bench.peer import run_peer
from tests.bench.row import Row

REQUIREMENTS = ("sandlock==0.9.0", "pyseccomp==0.1.2")
VERSIONS = {
    "none": "python -S, no sandbox",
    "bubblewrap": "bubblewrap",
    "sandlock": "sandlock 0.9.0",
    "pyseccomp": "pyseccomp 0.1.2",
}
SAMPLES = 60
PLAIN = "answer = sum(range(10))"
TEST = "def check(candidate):\n    assert candidate() == 1\n"


def attempts(beside: Path, left: Path, port: int) -> dict[str, str]:
    """Return programs that end well only if they got at something of the host: a file, a server."""
    return {
        "reads the host's name": "open('/etc/hostname').read()",
        "reads a file beside the test": f"open({str(beside)!r}).read()",
        "leaves a file": f"open({str(left)!r}, 'w').write('x')",
        "opens a socket to the host": f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)",
        "starts a process": (
            "import os\npid = os.posix_spawn('/usr/bin/python3', ['python3', '-S', '-c', ''], {})\n"
            "assert os.waitpid(pid, 0)[1] == 0"
        ),
        "signals its parent": "import os\nassert os.getppid() > 1\nos.kill(os.getppid(), 0)",
        "takes 4 GiB of memory": "held = bytearray(4 << 30)\nheld[::4096] = b'x' * len(held[::4096])",
        "unshares a user namespace": ("import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0"),
    }


def measure() -> list[Row]:
    """Return one row of time a sandbox, and one of what came through."""
    if shutil.which("bwrap") is None:
        raise UserError("this measurement needs bubblewrap: apt-get install bubblewrap")
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as name,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        folder = Path(name)
        beside, left, given = folder / "test.py", folder / "left", folder / "given.json"
        beside.write_text("expected = 1\n")
        tried = attempts(beside, left, server.getsockname()[1])
        document = {"plain": PLAIN, "samples": SAMPLES, "attempts": tried, "left": str(left)}
        given.write_text(json.dumps(document))
        mine, through = _ours(tried, left)
        peers = {
            sandbox: run_peer("sandboxes", REQUIREMENTS, "sandboxes.py", str(given), sandbox)
            for sandbox in VERSIONS
        }
    rows = []
    for sandbox, found in peers.items():
        rows += _rows(VERSIONS[sandbox], found, mine, through, len(tried))
    return rows


def _rows(peer: str, found: dict[str, Any], mine: list[float], through: list[str], count: int) -> list[Row]:
    note = f"{SAMPLES} programs of one line, one after the other; ours judges each by a test as well"
    held = f"ours: {', '.join(through) or 'none'} came through; peer: {', '.join(found['through']) or 'none'}"
    return [
        Row(
            "wall time per sample, median",
            1e3 * statistics.median(mine),
            "ms",
            "",
            peer,
            1e3 * statistics.median(found["seconds"]),
            note,
        ),
        Row(
            "attempts held",
            count - len(through),
            f"of {count}",
            "all",
            peer,
            count - len(found["through"]),
            held,
        ),
    ]


def _ours(tried: dict[str, str], left: Path) -> tuple[list[float], list[str]]:
    seconds, through = [], []
    with Judge(workers=1) as judge:
        for sample in range(SAMPLES):
            began = time.perf_counter()
            assert _passes(judge, f"{PLAIN}  # {sample}")
            seconds.append(time.perf_counter() - began)
        for name, source in tried.items():
            if _passes(judge, source) and (name != "leaves a file" or left.exists()):
                through.append(name)
            left.unlink(missing_ok=True)
    return seconds, through


def _passes(judge: Judge, source: str) -> bool:
    return next(_verdicts(judge, f"{source}\n\ndef answer():\n    return 1\n"))


def _verdicts(judge: Judge, source: str) -> Iterator[bool]:
    program = Program(source=source, entry_point="answer", trusted="", test=TEST)
    for _, verdict in judge.judge([program]):
        yield verdict.passed
