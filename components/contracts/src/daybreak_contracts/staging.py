"""Folders that work is done in before it is published, and the sweeping up after writers that were killed.

A staging folder's name says whose it is: the boot and the pid namespace (which container of which machine), the
process, its start time. The next writer beside it in the same container can tell that its owner is dead. Folders
from anywhere else on a shared disk are left alone: nobody here can know.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from pathlib import Path

from daybreak_contracts.launch import identity_of

PATTERN = re.compile(r"\.staging-(?P<place>[0-9a-f.]+)\+(?P<pid>\d+)\+(?P<start>\d+)\+[0-9a-f]{32}")
UNKNOWN = "0"
"""Place and start time on a system without /proc: such folders are never swept."""


def make(parent: Path) -> Path:
    """Return a fresh folder below ``parent``; what dead writers of this container left there is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    pid, _, start = (identity_of(os.getpid()) or f"{os.getpid()}:{UNKNOWN}").partition(":")
    folder = parent / f".staging-{_place()}+{pid}+{start}+{uuid.uuid4().hex}"
    folder.mkdir()
    return folder


def sweep(parent: Path) -> None:
    """Remove the staging folders of processes of this container that are gone."""
    place = _place()
    for folder in parent.glob(".staging-*"):
        found = PATTERN.fullmatch(folder.name)
        if found is None or place == UNKNOWN or found["place"] != place:
            continue
        if identity_of(int(found["pid"])) != f"{found['pid']}:{found['start']}":
            shutil.rmtree(folder, ignore_errors=True)


def _place() -> str:
    """Return where pids mean what they mean here. A host name would not do: pods on the host's network share it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")
        namespace = re.sub(r"\D", "", str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        return UNKNOWN
    return f"{boot[:12]}.{namespace}"
