"""Git repositories: one commit, no checkout, nothing of the repository runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import GitSource
from daybreak_data.sources import SourceEntry, UnreadableError, read
from daybreak_data.sources.entries import Tolerance
from daybreak_data.sources.git import list_git, repository_names

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def git(folder: Path, *arguments: str) -> str:
    """Run git with a fixed author and time."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
        "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
        "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
    }
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a tag, a second branch, a link, a large-file pointer and a hook."""
    folder = tmp_path / "origin" / "project"
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "a.py").write_text("a = 1\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "b c.py").write_text("b = 2\n")
    (folder / "link.py").symlink_to("/etc/passwd")
    (folder / "large.py").write_text(POINTER)
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    git(folder, "tag", "-a", "v1", "-m", "one")
    git(folder, "checkout", "--quiet", "-b", "other")
    (folder / "a.py").write_text("a = 3\n")
    git(folder, "commit", "--quiet", "-am", "second")
    git(folder, "checkout", "--quiet", "main")
    return folder


def found(source: GitSource, work_dir: Path) -> dict[tuple[str, str], bytes | str]:
    """Contents, or why there is none, by repository and path."""
    contents = list_git("s", source, str(work_dir), Tolerance("Fail")).expand()
    taken: dict[tuple[str, str], bytes | str] = {
        (item.repository, item.path): item.reason for item in contents.refused
    }
    for item in read(contents.refs):
        assert isinstance(item, SourceEntry)
        try:
            taken[item.repository, item.path] = item.load()
        except UnreadableError as error:
            taken[item.repository, item.path] = error.reason
    return taken


FIRST = {
    ("project", "a.py"): b"a = 1\n",
    ("project", "sub/b c.py"): b"b = 2\n",
    ("project", "link.py"): "symbolic-link",
    ("project", "large.py"): POINTER.encode(),
}


@pytest.mark.parametrize(
    ("ref", "content"),
    [
        pytest.param("", b"a = 1\n", id="the-default-branch"),
        pytest.param("other", b"a = 3\n", id="a-branch"),
        pytest.param("v1", b"a = 1\n", id="an-annotated-tag"),
    ],
)
def test_files_of_one_reference(repository: Path, tmp_path: Path, ref: str, content: bytes) -> None:
    expected = {**FIRST, ("project", "a.py"): content}
    assert found(GitSource(urls=(f"file://{repository}",), ref=ref), tmp_path / "work") == expected


def test_a_plain_path_works_as_url(repository: Path, tmp_path: Path) -> None:
    assert found(GitSource(urls=(str(repository),)), tmp_path / "work") == FIRST


@pytest.mark.parametrize("length", [40, 8, 7])
@pytest.mark.parametrize("place", ["folder", "bundle"])
def test_a_pinned_commit_stays_whatever_the_branches_do(
    repository: Path, tmp_path: Path, length: int, place: str
) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    for number in range(3):
        (repository / "a.py").write_text(f"a = {number + 10}\n")
        git(repository, "commit", "--quiet", "-am", "later")
    git(repository, "bundle", "create", str(tmp_path / "project.bundle"), "--all")
    url = {"folder": str(repository), "bundle": str(tmp_path / "project.bundle")}[place]
    source = GitSource(urls=(url,), ref=commit[:length].upper())
    assert found(source, tmp_path / "work") == FIRST
    assert found(source, tmp_path / "work") == FIRST


@pytest.mark.parametrize("ref", ["0123456", "0" * 39 + "1", "dead"])
def test_a_commit_that_is_not_there_is_named(repository: Path, tmp_path: Path, ref: str) -> None:
    with pytest.raises(UserError, match=f"has no (branch, tag or )?commit '?{ref}.*correct git.ref"):
        found(GitSource(urls=(str(repository),), ref=ref), tmp_path / "work")


def test_a_branch_that_looks_like_a_commit_is_the_branch(repository: Path, tmp_path: Path) -> None:
    git(repository, "branch", "deadbeef", "other")
    source = GitSource(urls=(str(repository),), ref="deadbeef")
    assert found(source, tmp_path / "work")["project", "a.py"] == b"a = 3\n"


@pytest.mark.parametrize("ref", ["", "other"])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_bundle_is_a_repository(repository: Path, tmp_path: Path, ref: str, scheme: str) -> None:
    git(repository, "bundle", "create", str(tmp_path / "project.bundle"), "--all")
    taken = found(GitSource(urls=(f"{scheme}{tmp_path}/project.bundle",), ref=ref), tmp_path / "work")
    assert taken["project", "a.py"] == (b"a = 3\n" if ref else b"a = 1\n")


def test_a_file_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.bundle").write_bytes(b"PK")
    with pytest.raises(UserError, match="is a file but no git bundle"):
        list_git(
            "s", GitSource(urls=(str(tmp_path / "a.bundle"),)), str(tmp_path / "work"), Tolerance("Fail")
        )


def without_object(repository: Path, revision: str) -> str:
    """Take an object away, as a partial clone or a broken disk does; return its name."""
    digest = git(repository, "rev-parse", revision)
    (repository / ".git" / "objects" / digest[:2] / digest[2:]).unlink()
    return digest


@pytest.mark.parametrize("ref", ["", "commit"])
def test_a_missing_object_is_named_and_the_other_files_are_read(
    repository: Path, tmp_path: Path, ref: str
) -> None:
    digest = without_object(repository, "HEAD:a.py")
    ref = git(repository, "rev-parse", "HEAD") if ref else ""
    source = GitSource(urls=(str(repository),), ref=ref)
    assert found(source, tmp_path / "work") == {**FIRST, ("project", "a.py"): "missing-object"}
    contents = list_git("s", source, str(tmp_path / "work"), Tolerance("Fail")).expand()
    (broken,) = [item for item in contents.refused if item.fatal]
    assert f"a.py (object {digest[:12]}) is missing" in broken.detail
    assert "git fetch --refetch" in broken.detail


def test_a_repository_that_is_broken_beside_others(repository: Path, tmp_path: Path) -> None:
    for name, revision in (("second", "HEAD^{tree}"), ("third", "")):
        git(repository.parent, "clone", "--quiet", "--no-local", str(repository), name)
        if revision:
            pack(repository.parent / name)
            without_object(repository.parent / name, revision)
    urls = tuple(str(repository.parent / name) for name in ("project", "second", "gone", "third"))
    source = GitSource(urls=urls)
    with pytest.raises(UserError, match="gone does not exist"):
        list_git("s", source, str(tmp_path / "work"), Tolerance("Fail"))
    contents = list_git("s", source, str(tmp_path / "work"), Tolerance("Skip")).expand()
    assert {ref.repository for ref in contents.refs} == {"project", "third"}
    broken = {item.repository: item.reason for item in contents.refused if item.fatal}
    assert broken == {"gone": "broken-repository", "second": "broken-repository"}


def pack(repository: Path) -> None:
    """Turn packs into loose objects."""
    for file in (repository / ".git" / "objects" / "pack").glob("*.pack"):
        moved = file.rename(repository / file.name)
        with moved.open("rb") as stream:
            subprocess.run(
                ["git", "unpack-objects", "-q"], cwd=repository, stdin=stream, check=True, capture_output=True
            )
    for file in (repository / ".git" / "objects" / "pack").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        pytest.param(["https://h/o/a.git", "https://h/p/b/"], ["o/a", "p/b"], id="servers"),
        pytest.param(["git@h:o/a.git", "ssh://git@h:22/o/b"], ["o/a", "o/b"], id="ssh"),
        pytest.param(["https://h/o/a", "https://i/o/a"], ["h/o/a", "i/o/a"], id="two-servers"),
        pytest.param(["/x/o/a", "file:///x/o/b.bundle"], ["a", "b"], id="folders"),
        pytest.param(["https://h/group/sub/a"], ["group/sub/a"], id="groups"),
    ],
)
def test_a_repository_is_named_with_its_owner(urls: list[str], names: list[str]) -> None:
    assert repository_names(urls) == names


def test_the_fingerprint_is_the_commit(repository: Path, tmp_path: Path) -> None:
    source = GitSource(urls=(str(repository),))
    before = list_git("s", source, str(tmp_path), Tolerance("Fail")).fingerprint
    (repository / "a.py").touch()
    assert list_git("s", source, str(tmp_path), Tolerance("Fail")).fingerprint == before
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "third")
    assert list_git("s", source, str(tmp_path), Tolerance("Fail")).fingerprint != before


def test_a_clone_is_kept_and_used_again(repository: Path, tmp_path: Path) -> None:
    source = GitSource(urls=(str(repository),))
    listing = list_git("s", source, str(tmp_path / "work"), Tolerance("Fail"))
    first = listing.expand()
    repository.rename(repository.with_name("gone"))
    assert listing.expand() == first


def test_no_hook_or_filter_of_the_repository_runs(repository: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (repository / ".gitattributes").write_text("*.py filter=evil\n")
    git(repository, "add", ".gitattributes")
    git(repository, "commit", "--quiet", "-m", "filters")
    git(repository, "config", "filter.evil.smudge", f"touch {trap}")
    for name in ("post-checkout", "post-index-change", "reference-transaction", "pre-auto-gc"):
        hook = repository / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
        hook.chmod(0o755)
    assert found(GitSource(urls=(str(repository),)), tmp_path / "work")["project", "a.py"] == b"a = 1\n"
    assert not trap.exists()


@pytest.mark.parametrize(
    ("url", "ref", "match"),
    [
        pytest.param("ext::sh -c touch% /tmp/x", "", "not the URL", id="a-transport-that-runs-commands"),
        pytest.param("--upload-pack=touch /tmp/x", "", "not the URL", id="an-option"),
        pytest.param("http://example.org/a.git", "", "file, https and ssh", id="an-unsafe-scheme"),
        pytest.param("/nowhere/at/all", "", "does not exist", id="a-missing-path"),
        pytest.param("{repository}", "nope", "has no branch, tag or commit 'nope'", id="a-missing-branch"),
        pytest.param("{repository}", "--all", "not the name of a branch", id="an-option-as-branch"),
        pytest.param("{empty}", "", "git ls-remote .* failed", id="a-folder-without-git"),
    ],
)
def test_a_bad_url_is_named(repository: Path, tmp_path: Path, url: str, ref: str, match: str) -> None:
    (tmp_path / "empty").mkdir()
    url = url.format(repository=repository, empty=tmp_path / "empty")
    with pytest.raises(UserError, match=f"source s: .*{match}"):
        list_git(
            "s", GitSource.model_construct(urls=(url,), ref=ref), str(tmp_path / "work"), Tolerance("Fail")
        )
