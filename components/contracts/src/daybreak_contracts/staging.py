"""Folders that work is done in before it is published, and the sweeping up after writers that were killed.

A staging folder's name says whose it is (host, process, start time), so that the next writer beside it can tell
that its owner is dead. Folders of other hosts on a shared disk are left alone: nobody here can know.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import uuid
from pathlib import Path

from daybreak_contracts.launch import identity_of

PATTERN = re.compile(r"\.staging-(?P<host>[A-Za-z0-9.-]*)\+(?P<pid>\d+)\+(?P<start>\d+)\+[0-9a-f]{32}")


def make(parent: Path) -> Path:
    """Return a fresh folder below ``parent``; what dead writers left there is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    folder = parent / f".staging-{_owner()}+{uuid.uuid4().hex}"
    folder.mkdir()
    return folder


def sweep(parent: Path) -> None:
    """Remove the staging folders of processes of this host that are gone."""
    if identity_of(os.getpid()) is None:
        return  # a system without /proc: nobody can tell who lives
    host = _host()
    for folder in parent.glob(".staging-*"):
        found = PATTERN.fullmatch(folder.name)
        if found is None or found["host"] != host:
            continue
        if identity_of(int(found["pid"])) != f"{found['pid']}:{found['start']}":
            shutil.rmtree(folder, ignore_errors=True)


def _owner() -> str:
    pid, _, start = (identity_of(os.getpid()) or f"{os.getpid()}:0").partition(":")
    return f"{_host()}+{pid}+{start}"


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
