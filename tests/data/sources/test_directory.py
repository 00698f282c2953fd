"""Folders as sources: repositories, order, and names that must not be followed."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import DirectorySource
from daybreak_data.sources import SourceEntry, UnreadableError, read
from daybreak_data.sources.directory import list_directory
from daybreak_data.sources.entries import displayable, shortest_unique_names


def make(root: Path, *paths: str) -> Path:
    """Files that hold their own path."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(os.fsencode(path))
    return root


def found(root: Path) -> dict[tuple[str, str], bytes]:
    """Contents by repository and path."""
    refs = list_directory("s", DirectorySource(path=str(root))).expand().refs
    return {(item.repository, item.path): item.load() for item in read(refs) if isinstance(item, SourceEntry)}


def test_the_first_folder_is_the_repository_and_loose_files_have_the_source_name(tmp_path: Path) -> None:
    make(tmp_path, "api/src/a.py", "web/b.js", "loose.py")
    assert found(tmp_path) == {
        ("api", "src/a.py"): b"api/src/a.py",
        ("web", "b.js"): b"web/b.js",
        ("s", "loose.py"): b"loose.py",
    }


def test_loose_files_never_share_an_id_with_a_folder_of_the_source_name(tmp_path: Path) -> None:
    make(tmp_path, "s/a.py", "a.py")
    assert found(tmp_path) == {("s", "a.py"): b"s/a.py", (".s", "a.py"): b"a.py"}


def test_version_control_and_caches_are_not_entered(tmp_path: Path) -> None:
    make(tmp_path, "r/.git/config.py", "r/a/__pycache__/b.py", ".git/x.py", "r/.github/ok.py")
    assert list(found(tmp_path)) == [("r", ".github/ok.py")]


def test_links_and_special_files_are_refused_with_a_reason(tmp_path: Path) -> None:
    outside = make(tmp_path / "outside", "secret.py")
    root = make(tmp_path / "root", "r/a.py")
    (root / "r" / "link.py").symlink_to(outside / "secret.py")
    (root / "r" / "folder").symlink_to(outside)
    (root / "r" / "loop").symlink_to(root)
    os.mkfifo(root / "r" / "pipe.py")
    with socket.socket(socket.AF_UNIX) as server:
        before = Path.cwd()
        os.chdir(root / "r")  # the path of a socket is bounded
        try:
            server.bind("socket.py")
        finally:
            os.chdir(before)
    contents = list_directory("s", DirectorySource(path=str(root))).expand()
    assert [ref.path for ref in contents.refs] == ["a.py"]
    assert {item.path: item.reason for item in contents.refused} == {
        "link.py": "symbolic-link",
        "folder": "symbolic-link",
        "loop": "symbolic-link",
        "pipe.py": "special-file",
        "socket.py": "special-file",
    }


def test_a_file_that_goes_after_the_listing_is_unreadable(tmp_path: Path) -> None:
    make(tmp_path, "r/a.py")
    (item,) = read(list_directory("s", DirectorySource(path=str(tmp_path))).expand().refs)
    (tmp_path / "r" / "a.py").unlink()
    assert isinstance(item, SourceEntry)
    with pytest.raises(UnreadableError, match="No such file") as caught:
        item.load()
    assert caught.value.reason == "unreadable"


def test_a_file_of_two_gigabytes_is_listed_and_never_read_whole(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    with (tmp_path / "r" / "big.py").open("wb") as file:
        file.truncate(2 << 30)
    (item,) = read(list_directory("s", DirectorySource(path=str(tmp_path))).expand().refs)
    assert isinstance(item, SourceEntry)
    assert item.size == 2 << 30
    with pytest.raises(UnreadableError, match="more than 10000000 bytes"):
        item.load()


@pytest.mark.parametrize(
    ("prepare", "match"),
    [
        pytest.param(lambda path: None, "does not exist", id="missing"),
        pytest.param(lambda path: path.mkdir(), "holds no files", id="empty"),
        pytest.param(lambda path: path.write_text("x"), "is not a folder", id="a-file"),
        pytest.param(lambda path: (path / ".git").mkdir(parents=True), "holds no files", id="only-git"),
    ],
)
def test_a_root_without_code_names_the_source_and_the_remedy(tmp_path: Path, prepare, match: str) -> None:
    prepare(tmp_path / "code")
    with pytest.raises(UserError, match=f"source s: .*{match}.*directory.path"):
        list_directory("s", DirectorySource(path=str(tmp_path / "code")))


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    def fingerprint() -> str:
        return list_directory("s", DirectorySource(path=str(tmp_path))).fingerprint

    make(tmp_path, "r/a.py", "r/b.py")
    before = fingerprint()
    assert fingerprint() == before
    os.utime(tmp_path / "r" / "a.py", ns=(1, 1))
    touched = fingerprint()
    (tmp_path / "r" / "b.py").rename(tmp_path / "r" / "c.py")
    assert len({before, touched, fingerprint()}) == 3


def test_a_name_that_is_not_utf8_is_read_and_shown(tmp_path: Path) -> None:
    make(tmp_path, os.fsdecode(b"r/caf\xe9.py")).joinpath(os.fsdecode(b"r/caf\xe9.py")).write_bytes(b"x")
    assert found(tmp_path) == {("r", "caf\\xe9.py"): b"x"}


@pytest.mark.parametrize(
    ("file", "field"),
    [("a.jsonl", "jsonl"), ("a.JSONL.gz", "jsonl"), ("a.parquet", "parquet"), ("a.tar.gz", "archives")],
)
def test_a_file_of_another_kind_of_source_is_told_where_it_belongs(
    tmp_path: Path, file: str, field: str
) -> None:
    (tmp_path / file).write_bytes(b"x")
    with pytest.raises(UserError, match=f"source s: .* give it as {field}: .*instead of directory.path"):
        list_directory("s", DirectorySource(path=str(tmp_path / file)))


@given(st.text(max_size=20))
def test_a_displayable_text_can_always_be_written(name: str) -> None:
    assert "\0" not in displayable(name).encode().decode()


@given(st.binary(max_size=20))
def test_a_displayable_name_can_always_be_written(name: bytes) -> None:
    displayable(os.fsdecode(name)).encode()


@pytest.mark.slow
@given(st.lists(st.sampled_from(["/a/x", "/b/x", "/b/y", "/a/b/x", "/c/a/x"]), unique=True))
def test_short_names_stay_unique(locations: list[str]) -> None:
    assert len(set(shortest_unique_names(locations))) == len(locations)
