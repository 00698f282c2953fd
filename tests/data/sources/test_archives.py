"""Archives of every kind: read whole, in order, never outside, never more than the bounds allow."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.errors import UserError
from daybreak_contracts.resources.run import ArchivesSource
from daybreak_data.sources import Refused, SourceEntry, UnreadableError, read
from daybreak_data.sources.archive_bounds import ArchiveBounds, member_path
from daybreak_data.sources.archives import archive_names, list_archives, read_archives
from daybreak_data.sources.entries import Tolerance

FILES = {"lib/a.py": b"x = 1\n", "lib/b.js": b"let y = 2;\n" * 50, "README": b""}


def tar_bytes(files: dict[str, bytes]) -> bytes:
    """A plain tar of these files."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def zip_bytes(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these files."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return sink.getvalue()


def zstd_bytes(data: bytes) -> bytes:
    """One zstd frame."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def ar_member(name: str, data: bytes) -> bytes:
    """A member of an ar archive, padded to even length."""
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
    return header + data + b"\n" * (len(data) % 2)


def deb_bytes(files: dict[str, bytes]) -> bytes:
    """A Debian package as deb(5) describes it."""
    control = gzip.compress(tar_bytes({"./control": b"Package: x\n"}))
    data = lzma.compress(tar_bytes({f"./{name}": content for name, content in files.items()}))
    members = [("debian-binary", b"2.0\n"), ("control.tar.gz", control), ("data.tar.xz", data)]
    return b"!<arch>\n" + b"".join(ar_member(*member) for member in members)


def read_all(path: Path, bounds: ArchiveBounds | None = None) -> tuple[dict[str, bytes], list[Refused]]:
    """Everything in an archive: contents by path, and what was refused."""
    contents = list_archives("s", ArchivesSource(uris=(str(path),)), Tolerance("Fail")).expand()
    taken: dict[str, bytes] = {}
    refused: list[Refused] = []
    for item in read_archives(contents.refs, bounds):
        if isinstance(item, Refused):
            refused.append(item)
            continue
        try:
            taken[item.path] = item.load()
        except UnreadableError as error:
            refused.append(Refused(item.repository, item.path, item.size, error.reason, error.detail))
    return taken, refused


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param("a.tar", tar_bytes, id="plain-tar"),
        pytest.param("a.tar.gz", lambda files: gzip.compress(tar_bytes(files)), id="gzipped-tar"),
        pytest.param("a.tar.bz2", lambda files: bz2.compress(tar_bytes(files)), id="bzipped-tar"),
        pytest.param("a.tar.xz", lambda files: lzma.compress(tar_bytes(files)), id="xz-tar"),
        pytest.param("a.tar.zst", lambda files: zstd_bytes(tar_bytes(files)), id="zstd-tar"),
        pytest.param("a.tgz", lambda files: gzip.compress(tar_bytes(files)), id="npm-package"),
        pytest.param("a.zip", zip_bytes, id="zip"),
        pytest.param("a.whl", zip_bytes, id="wheel"),
        pytest.param("a.zip", lambda files: zip_bytes(files, zipfile.ZIP_BZIP2), id="zip-with-bzip2"),
        pytest.param("a.zip", lambda files: zip_bytes(files, zipfile.ZIP_LZMA), id="zip-with-lzma"),
        pytest.param("a.deb", deb_bytes, id="debian-package"),
        pytest.param("no-suffix", zip_bytes, id="told-by-its-bytes-not-its-name"),
    ],
)
def test_every_kind_gives_its_files(
    tmp_path: Path, name: str, make: Callable[[dict[str, bytes]], bytes]
) -> None:
    (tmp_path / name).write_bytes(make(FILES))
    assert read_all(tmp_path / name) == (FILES, [])


def evil_tar(*members: tarfile.TarInfo) -> bytes:
    """A tar with these headers and one good file behind them."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"#" * member.size))
        good = tarfile.TarInfo("good.py")
        good.size = 2
        archive.addfile(good, io.BytesIO(b"1\n"))
    return sink.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, linkname: str = "", size: int = 0) -> tarfile.TarInfo:
    """A tar header."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, linkname, size
    return info


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param(member("../evil.py", size=3), "path-outside-archive", id="a-path-that-climbs-out"),
        pytest.param(member("a/../../evil.py", size=3), "path-outside-archive", id="climbing-from-inside"),
        pytest.param(member("C:\\evil.py", size=3), "path-outside-archive", id="a-drive-of-windows"),
        pytest.param(member("..\\evil.py", size=3), "path-outside-archive", id="backslashes-that-climb"),
        pytest.param(member("l.py", tarfile.SYMTYPE, "/etc/passwd"), "link-in-archive", id="a-symbolic-link"),
        pytest.param(member("l.py", tarfile.LNKTYPE, "good.py"), "link-in-archive", id="a-hard-link"),
        pytest.param(member("d.py", tarfile.CHRTYPE), "special-file", id="a-device"),
        pytest.param(member("f.py", tarfile.FIFOTYPE), "special-file", id="a-pipe"),
    ],
)
def test_a_dangerous_member_is_refused_and_the_rest_is_read(
    tmp_path: Path, bad: tarfile.TarInfo, reason: str
) -> None:
    (tmp_path / "a.tar").write_bytes(evil_tar(bad))
    taken, refused = read_all(tmp_path / "a.tar")
    assert taken == {"good.py": b"1\n"}
    assert [item.reason for item in refused] == [reason]


def test_links_and_encrypted_members_of_a_zip_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link.py")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("../out.py", "x")
        archive.writestr("locked.py", "secret")
        archive.writestr("good.py", "1\n")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature, data.index(b"locked.py") - 50 if signature == b"PK\x03\x04" else 0)
        while b"locked.py" not in data[at : at + 60]:
            at = data.index(signature, at + 1)
        data[at + offset] |= 1
    path.write_bytes(bytes(data))
    taken, refused = read_all(path)
    assert taken == {"good.py": b"1\n"}
    assert {item.path: item.reason for item in refused} == {
        "link.py": "link-in-archive",
        "../out.py": "path-outside-archive",
        "locked.py": "encrypted",
    }


def test_a_path_that_comes_twice_is_two_revisions(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(evil_tar(member("good.py", size=3)))
    refs = (
        list_archives("s", ArchivesSource(uris=(str(tmp_path / "a.tar"),)), Tolerance("Fail")).expand().refs
    )
    items = [(item.path, item.revision, item.load()) for item in read(refs) if isinstance(item, SourceEntry)]
    assert [item[:2] for item in items] == [("good.py", 0), ("good.py", 1)]
    assert items[0][2] != items[1][2]


def test_absolute_names_lose_their_first_slash(tmp_path: Path) -> None:
    """As ``tar -P`` writes them: the whole archive has no other names."""
    (tmp_path / "a.tar").write_bytes(tar_bytes({"/srv/app/a.py": b"1\n", "//b.py": b"2\n"}))
    taken, refused = read_all(tmp_path / "a.tar")
    assert (taken, refused) == ({"srv/app/a.py": b"1\n", "b.py": b"2\n"}, [])


JSON_LINES = b'{"content": "x = 1\\n", "path": "a.py"}\n'


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        pytest.param("a.jsonl.gz", gzip.compress(JSON_LINES), "JSON Lines, give it as .* jsonl", id="gz"),
        pytest.param("a.jsonl.zst", zstd_bytes(JSON_LINES * 99), "JSON Lines, give it as .* jsonl", id="zst"),
        pytest.param("a.jsonl", JSON_LINES, "JSON Lines, give it as .* jsonl", id="plain"),
        pytest.param("a.parquet", b"PAR1" + bytes(600), "Parquet file, give it as .* parquet", id="parquet"),
        pytest.param("a.py.gz", gzip.compress(b"x = 1\n"), "one packed file, not an archive", id="one-file"),
    ],
)
def test_what_is_no_archive_is_told_where_it_belongs(
    tmp_path: Path, name: str, data: bytes, match: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=f"source s: .*{name} .*{match}"):
        list_archives("s", ArchivesSource(uris=(str(tmp_path / name),)), Tolerance("Fail"))


def test_a_missing_archive_is_skipped_when_the_source_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes({"x.py": b"1\n"}))
    source = ArchivesSource(uris=(str(tmp_path / "a.tar"), str(tmp_path / "b.tar")))
    with pytest.raises(UserError, match=r"b\.tar does not exist"):
        list_archives("s", source, Tolerance("Fail"))
    contents = list_archives("s", source, Tolerance("Skip")).expand()
    assert [ref.repository for ref in contents.refs] == ["a"]
    assert [(item.repository, item.reason) for item in contents.refused] == [("b", "torn-archive")]


def test_a_member_above_ten_megabytes_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_bytes({"big.py": b"#" * 10_000_001, "good.py": b"1"}))
    taken, refused = read_all(tmp_path / "a.zip")
    assert list(taken) == ["good.py"]
    assert [(item.path, item.reason) for item in refused] == [("big.py", "too-large")]


@pytest.mark.parametrize("suffix", ["tar.gz", "zip"])
def test_a_bomb_ends_at_the_ratio(tmp_path: Path, suffix: str) -> None:
    zeros = {f"{index:03d}.py": b"\0" * 1_000_000 for index in range(30)}
    data = zip_bytes(zeros) if suffix == "zip" else gzip.compress(tar_bytes(zeros))
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(data)
    taken, refused = read_all(path, ArchiveBounds(ratio_starts_bytes=5_000_000))
    assert len(taken) < 8
    assert refused[-1].reason == "archive-bomb"


def test_too_many_members_end_the_archive(tmp_path: Path) -> None:
    many = {f"{index}.py": b"" for index in range(40)}
    for name, data in (("a.tar", tar_bytes(many)), ("a.zip", zip_bytes(many))):
        (tmp_path / name).write_bytes(data)
        _, refused = read_all(tmp_path / name, ArchiveBounds(max_members=10))
        assert [item.reason for item in refused] == ["archive-too-many-members"]


def test_a_header_that_would_fill_the_memory_is_not_taken(tmp_path: Path) -> None:
    huge = member("././@PaxHeader", tarfile.XHDTYPE, size=5 << 20)
    (tmp_path / "a.tar").write_bytes(evil_tar(huge))
    _, refused = read_all(tmp_path / "a.tar")
    assert [(item.reason, item.fatal) for item in refused] == [("torn-archive", True)]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param("a.tar", tar_bytes, id="tar"),
        pytest.param("a.tar.gz", lambda files: gzip.compress(tar_bytes(files)), id="gzip"),
        pytest.param("a.tar.xz", lambda files: lzma.compress(tar_bytes(files)), id="xz"),
        pytest.param("a.tar.zst", lambda files: zstd_bytes(tar_bytes(files)), id="zstd"),
        pytest.param("a.zip", zip_bytes, id="zip"),
        pytest.param("a.deb", deb_bytes, id="deb"),
    ],
)
def test_a_torn_archive_is_fatal_and_named(
    tmp_path: Path, name: str, make: Callable[[dict[str, bytes]], bytes]
) -> None:
    import random

    noise = {f"{index}.bin": random.Random(index).randbytes(3000) for index in range(20)}
    data = make(noise)
    (tmp_path / name).write_bytes(data[: len(data) * 2 // 3])
    _, refused = read_all(tmp_path / name)
    fatal = [item for item in refused if item.fatal]
    assert len(fatal) == 1
    assert name in fatal[0].detail


@pytest.mark.parametrize(
    ("data", "match"),
    [
        pytest.param(b"", "is empty", id="an-empty-file"),
        pytest.param(b"print('hello')\n" * 99, "not an archive that we know", id="a-file-of-code"),
    ],
)
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, data: bytes, match: str) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(UserError, match=match):
        list_archives("vendored", ArchivesSource(uris=(str(tmp_path / "a.zip"),)), Tolerance("Fail"))


def test_a_missing_archive_names_the_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"source vendored: archive .*missing\.zip does not exist"):
        list_archives("vendored", ArchivesSource(uris=(str(tmp_path / "missing.zip"),)), Tolerance("Fail"))


def test_names_of_archives_are_unique() -> None:
    uris = ["s3://x/a/lodash-4.17.21.tgz", "/y/b/lodash-4.17.21.tgz", "/y/django.whl"]
    assert archive_names(uris) == ["a/lodash-4.17.21", "b/lodash-4.17.21", "django"]


def test_reading_is_lazy(tmp_path: Path) -> None:
    """A member that nobody asks for is not unpacked: only its size is known."""
    (tmp_path / "a.zip").write_bytes(zip_bytes(FILES))
    refs = (
        list_archives("s", ArchivesSource(uris=(str(tmp_path / "a.zip"),)), Tolerance("Fail")).expand().refs
    )
    found = {item.path: item.size for item in read_archives(refs) if isinstance(item, SourceEntry)}
    assert found == {name: len(data) for name, data in FILES.items()}


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_a_package_of_dpkg_itself(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    (root / "usr" / "share").mkdir(parents=True)
    (root / "usr" / "share" / "x.py").write_text("x = 1\n")
    subprocess.run(
        ["dpkg-deb", "--build", str(root), str(tmp_path / "x.deb")], check=True, capture_output=True
    )
    assert read_all(tmp_path / "x.deb") == ({"usr/share/x.py": b"x = 1\n"}, [])


@given(st.text(alphabet="./\\:aB\0", max_size=12))
def test_a_member_path_never_leads_out(name: str) -> None:
    path = member_path(name)
    if path is not None:
        parts = path.split("/")
        assert not path.startswith("/")
        assert ".." not in parts
        assert "" not in parts
        assert "\\" not in path


@given(
    data=st.binary(max_size=400),
    start=st.sampled_from([b"", b"PK\x03\x04", b"\x1f\x8b\x08\x00", b"!<arch>\n"]),
)
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, start: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.zip"
    path.write_bytes(start + data)
    try:
        read_all(path)
    except UserError as error:
        assert "a.zip" in str(error)
