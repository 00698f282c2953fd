"""Git repositories as sources: copied bare at one commit, read object by object, never checked out."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from daybreak_contracts import artifacts
from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import GitSource
from daybreak_data.sources.entries import (
    MAX_FILE_BYTES,
    VERSION_CONTROL_AND_CACHES,
    Contents,
    FileRef,
    Listing,
    Refused,
    SourceEntry,
    Tolerance,
    UnreadableError,
    displayable,
    shortest_unique_names,
)
from daybreak_data.sources.git_clones import clone_of, commit_of
from daybreak_data.sources.git_commands import CLONE_TIMEOUT_S, HARDENED, address_of, environment, run_git

OBJECT_NAME_LENGTHS = (40, 64)
REMEDY = "fetch it again whole (git fetch --refetch), or set onError: Skip to go on without it"


def list_git(name: str, git: GitSource, work_dir: str, tolerance: Tolerance) -> Listing:
    """Ask each repository for its commit; clones are made (and kept in ``work_dir``) when there is work."""
    if shutil.which("git") is None:
        raise UserError(f"source {name}: the command git is not on this machine, install it")
    cache = Path(work_dir) / "git"
    pinned: list[tuple[str, str, str]] = []
    for repository, url in zip(repository_names(git.urls), git.urls, strict=True):
        with tolerance.part(repository):
            pinned.append((repository, address_of(name, url), commit_of(name, url, git.ref, cache)))
    tolerance.require_some(pinned)

    def expand() -> Contents:
        refs: list[FileRef] = []
        refused: list[Refused] = list(tolerance.broken)
        for repository, address, commit in pinned:
            while_copying = Tolerance(tolerance.on_error)
            with while_copying.part(repository):
                clone = clone_of(name, address, git.ref, commit, cache)
                for item in _tree(name, repository, address, clone, commit):
                    (refs if isinstance(item, FileRef) else refused).append(item)  # type: ignore[arg-type]
            refused += while_copying.broken
        return Contents(tuple(refs), tuple(refused))

    commits = [(repository, commit) for repository, _, commit in pinned]
    repositories = frozenset(repository for repository, _ in commits)
    return Listing(name, artifacts.digest_of([*commits, *tolerance.names()]), expand, repositories)


def repository_names(urls: Iterable[str]) -> list[str]:
    """Return each repository's name: ``owner/name`` of a server's, a folder's own; longer where names repeat."""
    plain = [url.removesuffix("/").removesuffix(".git").removesuffix(".bundle") for url in urls]
    shortest = shortest_unique_names(plain)
    served = [_path_on_server(url) for url in plain]
    return [
        path if path and served.count(path) == 1 and path not in shortest else name
        for name, path in zip(shortest, served, strict=True)
    ]


def _path_on_server(url: str) -> str:
    found = re.fullmatch(r"(?:https|ssh)://[^/]+/(.+)|[^/:]+:(?!//)/?(.+)", url)
    return (found[1] or found[2]).strip("/") if found else ""


def _tree(name: str, repository: str, address: str, clone: Path, commit: str) -> Iterator[FileRef | Refused]:
    listing = [f"--git-dir={clone}", "ls-tree", "-r", "-z", "--full-tree", commit]
    records = run_git(name, f"ls-tree of {address}", listing, CLONE_TIMEOUT_S).split(b"\0")[:-1]
    found = [_described(record) for record in records]
    blobs = [digest for _, kind, digest, _ in found if kind == "blob"]
    asked = [f"--git-dir={clone}", "cat-file", "--batch-check=%(objectname) %(objectsize)"]
    said = run_git(name, "cat-file", asked, CLONE_TIMEOUT_S, "".join(f"{blob}\n" for blob in blobs).encode())
    sizes = dict(line.split(" ", 1) for line in said.decode().splitlines())
    for mode, _, digest, path in found:
        if mode in ("120000", "160000"):
            yield Refused(repository, path, 0, "symbolic-link" if mode == "120000" else "submodule")
        elif not VERSION_CONTROL_AND_CACHES.isdisjoint(path.split("/")):
            continue
        elif sizes[digest].isdigit():
            yield FileRef("blob", name, repository, path, "", int(sizes[digest]), digest, str(clone))
        else:
            detail = f"{address}: {path} (object {digest[:12]}) is missing in the repository, {REMEDY}"
            yield Refused(repository, path, 0, "missing-object", detail, fatal=True)


def _described(record: bytes) -> tuple[str, str, str, str]:
    """Return mode, kind, object and path of a record of ``ls-tree``."""
    about, _, path = record.partition(b"\t")
    mode, kind, digest = about.decode().split()
    return mode, kind, digest, displayable(os.fsdecode(path))


def read_blobs(refs: Iterable[FileRef]) -> Iterator[SourceEntry | Refused]:
    """Yield git objects; one ``git cat-file`` serves all neighbours of one clone."""
    for clone, group in itertools.groupby(refs, key=lambda ref: ref.location):
        command = ["git", *HARDENED, f"--git-dir={clone}", "cat-file", "--batch"]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for ref in group:
                load = _loader(process.stdin, process.stdout, ref)
                yield SourceEntry(ref.repository, ref.path, ref.licence, ref.size, load)
            process.stdin.close()


def _loader(asked: IO[bytes], answered: IO[bytes], ref: FileRef) -> Callable[[], bytes]:
    def load() -> bytes:
        if ref.size > MAX_FILE_BYTES:
            raise UnreadableError("too-large", f"more than {MAX_FILE_BYTES} bytes")
        if len(ref.fingerprint) not in OBJECT_NAME_LENGTHS:
            raise UnreadableError("unreadable", f"{ref.fingerprint} is not the name of an object")
        asked.write(ref.fingerprint.encode() + b"\n")
        asked.flush()
        header = answered.readline().split()
        if len(header) != 3:
            raise UnreadableError("unreadable", "git does not give the object")
        data = answered.read(int(header[2]))
        answered.read(1)
        return data

    return load
