"""Shared memory of StreamingDataset: what killed runs left behind goes, and runs beside each other take turns.

Owns the rule for what may go: blocks of Streaming's own names that no living process maps. Streaming's own sweep
removes every block, also those of a run that is still at work. Owns the turn to take a name, and that a rank waits for
a block that another is about to give its size.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

from daybreak_contracts.errors import TransientError

BLOCKS = Path("/dev/shm")
_NAME = re.compile(r"(\d{6})_[a-z_]+")
GRACE_S = 60.0
"""A younger block may belong to a process that is about to map it."""
TURN_WITHIN_S = 120.0
"""A turn lasts milliseconds; with thousands of blocks left behind, or all processes of a node to wait for, seconds."""

WHOLE_WITHIN_S = 20.0
"""Between a block's first appearance and its size lie two calls of the system."""


def whole_block(
    name: str | None, create: bool = False, size: int = 0, within_s: float = WHOLE_WITHIN_S
) -> SharedMemory:
    """Return a block as ``SharedMemory`` does, but wait until who makes it has given it its size.

    For Streaming, whose ranks open each other's blocks by name: one that looked between the two calls that make a
    block died of it ("cannot mmap an empty file"), and its training with it.
    """
    until = time.monotonic() + within_s
    while True:
        try:
            return SharedMemory(name, create, size)
        except ValueError:
            if create or time.monotonic() > until:
                raise
            time.sleep(0.01)


def stale_prefixes(blocks: Iterable[tuple[str, float]], mapped: Iterable[str], now: float) -> set[str]:
    """Return the prefixes none of whose blocks (name, time of change) is young or mapped by a process."""
    alive = {match.group(1) for name in mapped if (match := _NAME.fullmatch(name))}
    found: set[str] = set()
    for name, changed in blocks:
        match = _NAME.fullmatch(name)
        if match is None:
            continue
        found.add(match.group(1))
        if now - changed < GRACE_S:
            alive.add(match.group(1))
    return found - alive


def mapped_blocks(processes: Path = Path("/proc")) -> set[str]:
    """Return the names of shared-memory blocks that living processes map.

    A process that can't be looked into belongs to another user, who can't map our blocks (mode 0600).
    """
    names: set[str] = set()
    for maps in processes.glob("[0-9]*/maps"):
        try:
            text = maps.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        lines = (line for line in text.splitlines() if "/dev/shm/" in line)
        names.update(line.rpartition("/dev/shm/")[2] for line in lines)
    return names


@contextmanager
def turn(folder: Path = BLOCKS, within_s: float = TURN_WITHIN_S) -> Iterator[None]:
    """Hold this user's only turn to take a name for new blocks; TransientError when none comes in time (seconds).

    Streaming looks for a number that is free and takes it later: of two runs that begin at once on a machine, one
    found its name taken and died. The lock lies beside the blocks, so pods that share none do not wait for each other;
    the kernel gives it back when its holder dies.
    """
    place = folder if folder.is_dir() else Path(tempfile.gettempdir())
    path = place / f"daybreak-streaming-{os.getuid()}.lock"
    with path.open("a") as file:
        until = time.monotonic() + within_s
        while not _locked(file.fileno()):
            if time.monotonic() > until:
                raise TransientError(
                    f"{path}: another training on this machine has held it for {within_s:.0f} s; see what it waits for"
                )
            time.sleep(0.01)
        try:
            yield
        finally:
            # By hand: a process that was forked meanwhile would hold on to it.
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sweep(now: float, blocks: Path = BLOCKS, locks: Path | None = None) -> int:
    """Remove this user's stale blocks and their lock files; return how many files went."""
    if not blocks.is_dir():
        return 0
    locks = locks if locks is not None else Path(tempfile.gettempdir())
    mine = {path: found.st_mtime for path, found in _seen(_named(blocks)) if found.st_uid == os.getuid()}
    stale = stale_prefixes(((path.name, changed) for path, changed in mine.items()), mapped_blocks(), now)
    gone = [path for path in (*mine, *_named(locks)) if path.name[:6] in stale]
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)


def _seen(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield what is still there: a run that ends beside this one takes its blocks with it."""
    for path in paths:
        with suppress(FileNotFoundError):
            yield path, path.stat()


def _named(folder: Path) -> list[Path]:
    return [path for path in folder.glob("[0-9]*") if _NAME.fullmatch(path.name)]
