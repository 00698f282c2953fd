"""Whether the disks can hold what a training will write, asked before its first step.

Owns the arithmetic and the sentence. How large a checkpoint is, the caller says.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts.errors import TransientError

STATE_BYTES = 12
"""A parameter in a checkpoint: weight and two moments of AdamW, fp32."""
WEIGHT_BYTES = 4
OTHER_BYTES = 1 << 20
"""Generators, ledger and manifests."""


@dataclass(frozen=True)
class SpaceNeed:
    """What will be written below a folder."""

    folder: Path
    size: int
    what: str


def checkpoint_bytes(parameters: int) -> int:
    """Return the size of one checkpoint."""
    return STATE_BYTES * parameters + OTHER_BYTES


def local_need(folder: Path, parameters: int, keep: int, present: int) -> SpaceNeed:
    """Return what checkpoints and the final weights take where they stay; ``present`` bytes of it lie there already.

    One more checkpoint than are kept: the oldest goes when the newest is whole, never before.
    """
    one = checkpoint_bytes(parameters)
    size = (keep + 1) * one + WEIGHT_BYTES * parameters
    what = f"{keep} checkpoints of {said(one)} are kept, one more is written beside them, and the weights come last"
    return SpaceNeed(folder, max(0, size - present), what)


def staging_need(folder: Path, parameters: int) -> SpaceNeed:
    """Return what a checkpoint on its way to object storage takes."""
    one = checkpoint_bytes(parameters)
    return SpaceNeed(folder, one, f"a checkpoint of {said(one)} is put together there before it is uploaded")


def check(needs: Iterable[SpaceNeed], free: Callable[[Path], int] | None = None) -> None:
    """Raise a TransientError for the first folder whose disk is too small."""
    look = free_bytes if free is None else free
    for need in needs:
        found = look(need.folder)
        if found < need.size:
            raise TransientError(
                f"{need.folder}: {said(need.size)} are needed and {said(found)} are free ({need.what}): free some "
                "space, lower training.checkpoint.keep or name another place"
            )


def when_full(folder: str, size: int, keep: int) -> str:
    """Return what to say when a disk fills up in a checkpoint all the same: others write to it too."""
    return (
        f"{folder}: no space left for a checkpoint of {said(size)}; {keep} are kept and one more is written beside "
        f"them, together {said((keep + 1) * size)}: free some space and run again to go on from the one before"
    )


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that a folder is on, or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def size_of(folder: Path) -> int:
    """Return the bytes of the files below a folder; one that another process removes meanwhile counts as none."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def said(size: int) -> str:
    """Return a size for a person."""
    for unit, one in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= one:
            return f"{size / one:.1f} {unit}"
    return f"{size} bytes"
