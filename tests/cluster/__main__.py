"""The development cluster by hand: `make cluster` starts it in the foreground, Ctrl-C ends it.

Owns the command line only.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import launcher
from tests.cluster.binaries import PROGRAMS, NoClusterError, programs
from tests.cluster.launcher import API_SERVER, FULL, WITH_QUEUES, WITH_TRAINER, WITH_TRAINING_OPERATOR
from tests.cluster.nodes import NodeSpec
from tests.cluster.processes import StartError

MODES = {
    "apiserver": API_SERVER,
    "full": FULL,
    "training": WITH_TRAINING_OPERATOR,
    "trainer": WITH_TRAINER,
    "queues": WITH_QUEUES,
}


def say(text: str) -> None:
    """Tell the person who waits."""
    print(f"cluster: {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Start, tell how to reach it, wait, stop."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    parser.add_argument("--mode", choices=MODES, default="training", help="what runs (default: %(default)s)")
    parser.add_argument("--data", type=Path, help="folder of the cluster; emptied at start and at the end")
    parser.add_argument("--build", action="store_true", help="only build what is missing")
    parser.add_argument("--program", choices=PROGRAMS, nargs="+", help="only build these")
    arguments = parser.parse_args()
    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    try:
        return run(MODES[arguments.mode], arguments, end)
    except (NoClusterError, StartError) as problem:
        say(str(problem))
        return 2


def run(parts: launcher.Parts, arguments: argparse.Namespace, end: threading.Event) -> int:
    """Build only, or run it in a folder of its own."""
    if arguments.program:
        for path in programs(arguments.program, os.environ, say).values():
            print(path)
        return 0
    if arguments.build:
        launcher.locate(parts, os.environ, say)
        return 0
    if arguments.data:
        with claimed(arguments.data):
            shutil.rmtree(arguments.data, ignore_errors=True)
            return stand(parts, arguments.data, end)
    return stand(parts, None, end)


@contextmanager
def claimed(data: Path) -> Iterator[None]:
    """Keep the folder for us alone; the lock goes with the process."""
    data.parent.mkdir(parents=True, exist_ok=True)
    with data.with_name(f"{data.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NoClusterError(
                f"a cluster runs in {data} already: end it, or name another --data"
            ) from None
        yield


def stand(parts: launcher.Parts, data: Path | None, end: threading.Event) -> int:
    """Start it, tell how to reach it, and stop it when the end is asked for."""
    started = time.monotonic()
    cluster = launcher.start(parts, os.environ, say, data)
    try:
        if parts.kwok:
            cluster.add_nodes(
                NodeSpec(f"gpu-{zone}-{number}", zone=f"zone-{zone}") for zone in "abc" for number in (1, 2)
            )
        say(f"ready after {time.monotonic() - started:.1f} s; Ctrl-C ends it")
        print(f"export KUBECONFIG={cluster.kubeconfig.resolve()}", flush=True)
        end.wait()
    finally:
        cluster.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
