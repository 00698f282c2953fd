"""Finds the commit that a manifest means and makes a bare copy of it: without history where the server gives it so.

A copy appears by one rename, so a killed clone leaves nothing; it is kept for the next run.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from daybreak_contracts import artifacts
from daybreak_contracts.errors import DaybreakError, UserError
from daybreak_data.sources.git_commands import (
    ASK_TIMEOUT_S,
    CLONE_TIMEOUT_S,
    address_of,
    folder_of,
    run_git,
)

COMMIT = re.compile(r"[0-9a-fA-F]{7,64}")
WHOLE_COMMIT_LENGTHS = (40, 64)
CLONE = ("clone", "--bare", "--quiet", "--no-tags", "--template=")


def commit_of(name: str, url: str, ref: str, cache: Path) -> str:
    """Return the commit that a branch, a tag, a commit or nothing (the default branch) means, in this order."""
    if ref.startswith("-"):
        raise UserError(f"source {name}: git.ref {ref!r} is not the name of a branch, tag or commit")
    if COMMIT.fullmatch(ref) and len(ref) in WHOLE_COMMIT_LENGTHS:
        address_of(name, url)
        return ref.lower()
    wanted = [f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}"] if ref else ["HEAD"]
    address = address_of(name, url)
    said = run_git(name, f"ls-remote {url}", ["ls-remote", "--", address, *wanted], ASK_TIMEOUT_S)
    lines = [line.partition("\t") for line in said.decode(errors="replace").splitlines()]
    found = {reference: commit for commit, _, reference in lines}
    for candidate in (wanted[0], wanted[-1], *wanted):
        if candidate in found:
            return found[candidate]
    if COMMIT.fullmatch(ref):
        return _whole_commit(name, url, ref.lower(), cache)
    thing = f"branch, tag or commit {ref!r}" if ref else "default branch, name one in git.ref"
    raise UserError(f"source {name}: {url} has no {thing}, correct git.ref or git.urls")


def _whole_commit(name: str, url: str, short: str, cache: Path) -> str:
    """Return the commit that begins so. It needs the history (without its files), and is looked up once."""
    address = address_of(name, url)
    note = cache / f"commit-{artifacts.digest_of([address, short])[:24]}"
    if note.exists():
        return note.read_text()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".history-", dir=cache) as folder:
        clone = Path(folder) / "repository"
        arguments = [*CLONE, "--filter=tree:0", "--", address, str(clone)]
        run_git(name, f"clone {address}", arguments, CLONE_TIMEOUT_S)
        try:
            asked = [f"--git-dir={clone}", "rev-parse", "--verify", "--quiet", f"{short}^{{commit}}"]
            commit = run_git(name, "rev-parse", asked, ASK_TIMEOUT_S).decode().strip()
        except UserError as error:
            raise UserError(
                f"source {name}: {url} has no branch, tag or commit {short!r} (or more than one commit begins so), "
                "correct git.ref"
            ) from error
        partial = Path(folder) / "note"
        partial.write_text(commit)
        partial.rename(note)
    return commit


def clone_of(name: str, address: str, ref: str, commit: str, cache: Path) -> Path:
    """Return a bare repository that holds this commit.

    A repository on this machine that cannot be cloned, because objects are missing in it, is read in its place.
    """
    target = cache / artifacts.digest_of([address, commit])[:24]
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".clone-", dir=cache) as folder:
        clone = Path(folder) / "repository"
        try:
            _clone(name, address, ref, commit, clone)
        except DaybreakError:
            source = folder_of(address)
            if source is None or not _has(name, source, commit):
                raise
            return _reading_in_place(name, source, cache / f"{target.name}-in-place")
        try:
            clone.rename(target)
        except OSError:
            if not target.is_dir():  # another run of ours was faster otherwise
                raise
    return target


def _clone(name: str, address: str, ref: str, commit: str, clone: Path) -> None:
    what = f"clone {address}"
    if not COMMIT.fullmatch(ref):
        branch = ["--branch", ref] if ref else []
        options = [*CLONE, "--depth", "1", "--single-branch", *branch, "--", address, str(clone)]
        run_git(name, what, options, CLONE_TIMEOUT_S)
        return
    run_git(name, "init", ["init", "--bare", "--quiet", "--template=", str(clone)], ASK_TIMEOUT_S)
    fetch = [f"--git-dir={clone}", "fetch", "--quiet", "--no-tags"]
    try:
        run_git(name, what, [*fetch, "--depth", "1", "--", address, commit], CLONE_TIMEOUT_S)
    except UserError:  # servers may refuse a commit that no branch points at: then with all branches and tags
        everything = ["--", address, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        run_git(name, what, [*fetch, *everything], CLONE_TIMEOUT_S)
    if not _has(name, clone, commit):
        raise UserError(f"source {name}: {address} has no commit {commit}, correct git.ref")


def _has(name: str, repository: Path, commit: str) -> bool:
    git_dir = repository / ".git" if (repository / ".git").is_dir() else repository
    try:
        run_git(
            name,
            "cat-file",
            [f"--git-dir={git_dir}", "cat-file", "-e", f"{commit}^{{commit}}"],
            ASK_TIMEOUT_S,
        )
    except UserError:
        return False
    return True


def _reading_in_place(name: str, source: Path, target: Path) -> Path:
    """Return an empty repository of our own, with our configuration, that looks its objects up in another."""
    objects = (source / ".git" / "objects") if (source / ".git").is_dir() else source / "objects"
    run_git(name, "init", ["init", "--bare", "--quiet", "--template=", str(target)], ASK_TIMEOUT_S)
    info = target / "objects" / "info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "alternates").write_text(f"{objects}\n")
    return target
