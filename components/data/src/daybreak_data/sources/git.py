"""Git repositories: cloned bare and without history at one commit, read object by object, never checked out.

No hook, filter, submodule, prompt or configuration of the machine or the repository takes part.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from daybreak_contracts import artifacts
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.resources.run import GitSource
from daybreak_data.sources.entries import (
    MAX_FILE_BYTES,
    VERSION_CONTROL_AND_CACHES,
    Contents,
    FileRef,
    Listing,
    Refused,
    SourceEntry,
    UnreadableError,
    displayable,
    shortest_unique_names,
)

ASK_TIMEOUT_S = 60
CLONE_TIMEOUT_S = 1800
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
OBJECT_NAME_LENGTHS = (40, 64)
HARDENED = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "credential.helper=",
    "-c", "submodule.recurse=false",
    "-c", "fetch.fsckObjects=true",
    "-c", "transfer.fsckObjects=true",
    "-c", "protocol.ext.allow=never",
    "-c", "gc.auto=0",
)  # fmt: skip
# What git says of a temporary infrastructure failure, not of a wrong manifest.
WORLD_IS_AT_FAULT = (
    "could not resolve host", "timed out", "connection refused", "connection reset", "network is unreachable",
    "early eof", "the remote end hung up", "temporary failure", "no space left on device",
    "error: 429", "error: 500", "error: 502", "error: 503", "error: 504",
)  # fmt: skip


def list_git(name: str, git: GitSource, work_dir: str) -> Listing:
    """Ask each repository for its commit; clones are made (and kept in ``work_dir``) when there is work."""
    if shutil.which("git") is None:
        raise UserError(f"source {name}: the command git is not on this machine, install it")
    repositories = shortest_unique_names([url.removesuffix("/").removesuffix(".git") for url in git.urls])
    pinned = [
        (repository, _address(name, url), _commit_of(name, url, git.ref))
        for repository, url in zip(repositories, git.urls, strict=True)
    ]

    def expand() -> Contents:
        refs: list[FileRef] = []
        refused: list[Refused] = []
        for repository, address, commit in pinned:
            clone = _clone(name, address, git.ref, commit, Path(work_dir) / "git")
            for item in _tree(name, repository, clone, commit):
                (refs if isinstance(item, FileRef) else refused).append(item)  # type: ignore[arg-type]
        return Contents(tuple(refs), tuple(refused))

    return Listing(
        name, artifacts.digest_of([(repository, commit) for repository, _, commit in pinned]), expand
    )


def _address(name: str, url: str) -> str:
    """Return the URL that git gets: local paths as ``file://``; other transports than ours are refused."""
    scheme, separator, _ = url.partition("://")
    if separator:
        if scheme not in ("file", "https", "ssh"):
            raise UserError(f"source {name}: {url}: git takes file, https and ssh, not {scheme!r}")
        return url
    if url.startswith("-") or "::" in url:
        raise UserError(f"source {name}: {url!r} is not the URL of a git repository")
    host = url.partition("/")[0]
    if ":" in host:  # scp-like: user@host:path
        return url
    path = Path(url).expanduser().absolute()
    if not path.exists():
        raise UserError(f"source {name}: git repository {path} does not exist, correct git.urls")
    return f"file://{path}"


def _environment() -> dict[str, str]:
    kept = (
        "PATH",
        "HOME",
        "SSH_AUTH_SOCK",
        "HTTPS_PROXY",
        "https_proxy",
        "NO_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
    )
    return {
        **{key: os.environ[key] for key in kept if key in os.environ},
        "GIT_ALLOW_PROTOCOL": "file:https:ssh",
        "GIT_ASKPASS": "true",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C.UTF-8",
    }


def _git(name: str, what: str, arguments: Iterable[str], timeout_s: float) -> bytes:
    try:
        done = subprocess.run(
            ["git", *HARDENED, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=_environment(),
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TransientError(f"source {name}: git {what} took longer than {timeout_s:.0f} s") from error
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip()
    message = f"source {name}: git {what} failed: {said.splitlines()[-1] if said else 'no message'}"
    if any(sign in said.lower() for sign in WORLD_IS_AT_FAULT):
        raise TransientError(message)
    raise UserError(f"{message}; correct git.urls or git.ref, or give access without a prompt")


def _commit_of(name: str, url: str, ref: str) -> str:
    if ref.startswith("-"):
        raise UserError(f"source {name}: git.ref {ref!r} is not the name of a branch or tag")
    wanted = [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}"] if ref else ["HEAD"]
    said = _git(name, f"ls-remote {url}", ["ls-remote", "--", _address(name, url), *wanted], ASK_TIMEOUT_S)
    lines = [line.partition("\t") for line in said.decode(errors="replace").splitlines()]
    found = {reference: commit for commit, _, reference in lines}
    for candidate in (wanted[0], wanted[-1], *wanted):
        if candidate in found:
            return found[candidate]
    thing = f"branch or tag {ref!r}" if ref else "commit"
    raise UserError(f"source {name}: {url} has no {thing}, correct git.ref or git.urls")


def _clone(name: str, address: str, ref: str, commit: str, cache: Path) -> Path:
    """Return a bare clone of this commit; it appears by one rename, so a killed clone leaves nothing."""
    target = cache / artifacts.digest_of([address, commit])[:24]
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".clone-", dir=cache) as folder:
        clone = Path(folder) / "repository"
        branch = ["--branch", ref] if ref else []
        options = [
            "--bare",
            "--quiet",
            "--depth",
            "1",
            "--single-branch",
            "--no-tags",
            "--template=",
            *branch,
        ]
        _git(name, f"clone {address}", ["clone", *options, "--", address, str(clone)], CLONE_TIMEOUT_S)
        try:
            clone.rename(target)
        except OSError:
            if not target.is_dir():  # another run of ours was faster otherwise
                raise
    return target


def _tree(name: str, repository: str, clone: Path, commit: str) -> Iterator[FileRef | Refused]:
    arguments = [f"--git-dir={clone}", "ls-tree", "-r", "-z", "--long", "--full-tree", commit]
    for record in _git(name, f"ls-tree of {repository}", arguments, CLONE_TIMEOUT_S).split(b"\0"):
        if not record:
            continue
        about, _, raw_path = record.partition(b"\t")
        mode, _, digest, size = about.decode().split()
        path = displayable(os.fsdecode(raw_path))
        if mode in ("120000", "160000"):
            yield Refused(repository, path, 0, "symbolic-link" if mode == "120000" else "submodule")
        elif VERSION_CONTROL_AND_CACHES.isdisjoint(path.split("/")):
            yield FileRef("blob", name, repository, path, "", int(size), digest, str(clone))


def read_blobs(refs: Iterable[FileRef]) -> Iterator[SourceEntry | Refused]:
    """Yield git objects; one ``git cat-file`` serves all neighbours of one clone."""
    for clone, group in itertools.groupby(refs, key=lambda ref: ref.location):
        command = ["git", *HARDENED, f"--git-dir={clone}", "cat-file", "--batch"]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
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
        if data.startswith(LFS_POINTER):
            raise UnreadableError("git-lfs-pointer", "the content lies outside the repository")
        return data

    return load
