"""Storage on local disks: URIs, whole-or-nothing writes, and who can mend what goes wrong."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import storage
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.storage_errors import translate

NAMES = [
    "plain.txt",
    "with space",
    "ünïcödé",
    "日本語.py",
    "emoji🎉",
    "a+b%20c",
    "-dash",
    "#hash?x",
    "quote'\"",
    "x" * 200,
]


@pytest.mark.parametrize(
    ("uri", "scheme"),
    [
        ("a/b", "file"),
        ("/a/b", "file"),
        ("file:///a", "file"),
        ("s3://b/k", "s3"),
        ("gs://b/k", "gs"),
        ("C:colon", "file"),
    ],
)
def test_scheme_of_a_uri(uri: str, scheme: str) -> None:
    assert storage.scheme_of(uri) == scheme


@pytest.mark.parametrize("uri", ["http://x", "ftp://x/y", "hdfs://n/x", "S3://b/k", "", "a\0b"])
def test_other_schemes_are_refused(uri: str) -> None:
    with pytest.raises(UserError):
        storage.scheme_of(uri)


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        (("a", "b"), "a/b"),
        (("a/", "/b/", "c"), "a/b/c"),
        (("/", "a"), "/a"),
        (("s3://b", "k"), "s3://b/k"),
        (("a", "", "b"), "a/b"),
        (("a",), "a"),
    ],
)
def test_parts_are_joined_by_single_slashes(parts: tuple[str, ...], joined: str) -> None:
    assert storage.join(*parts) == joined


@pytest.mark.parametrize("uri", ["s3://", "s3:///key", "gs://"])
def test_a_remote_uri_names_a_bucket(uri: str) -> None:
    with pytest.raises(UserError, match="names no bucket"):
        storage.filesystem(uri)


@pytest.mark.parametrize("uri", ["s3://b//k", "s3://b/../k", "s3://b/./k", "gs://b/k/.."])
def test_a_remote_uri_names_each_folder(uri: str) -> None:
    with pytest.raises(UserError, match="knows no empty folder name"):
        storage.filesystem(uri)


def test_a_remote_uri_is_no_local_path() -> None:
    with pytest.raises(UserError, match="a local path is needed"):
        storage.local_path("s3://b/k")


@pytest.mark.parametrize("name", NAMES)
def test_any_name_keeps_its_bytes(tmp_path: Path, name: str) -> None:
    uri = storage.join(str(tmp_path), "folder", name)
    storage.write_bytes(uri, b"\0\xff")
    assert storage.read_bytes(uri) == b"\0\xff"
    assert storage.list_files(str(tmp_path)) == [f"folder/{name}"]
    assert storage.exists(uri)
    storage.copy_tree(str(tmp_path / "folder"), str(tmp_path / "copy"))
    assert (tmp_path / "copy" / name).read_bytes() == b"\0\xff"


def test_listing_is_sorted_deep_and_empty_for_nothing(tmp_path: Path) -> None:
    for name in ("b/z", "b/a/c", "a", ".hidden"):
        storage.write_bytes(str(tmp_path / name), b"")
    assert storage.list_files(f"file://{tmp_path}") == [".hidden", "a", "b/a/c", "b/z"]
    assert storage.list_files(str(tmp_path / "none")) == []
    assert storage.list_files(str(tmp_path / "a")) == []


@pytest.mark.slow
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda v: st.lists(v) | st.dictionaries(st.text(), v),
        max_leaves=10,
    )
)
def test_json_comes_back_and_equal_values_are_equal_bytes(
    tmp_path_factory: pytest.TempPathFactory, value: object
) -> None:
    folder = tmp_path_factory.getbasetemp()
    first, second = str(folder / "a.json"), str(folder / "b.json")
    storage.write_json(first, value)
    storage.write_json(second, storage.read_json(first))
    assert storage.read_json(first) == value
    assert storage.read_bytes(first) == storage.read_bytes(second)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_named(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(text)
    with pytest.raises(UserError, match=r"x\.json: not valid JSON"):
        storage.read_json(str(file))


class TestWholeOrNothing:
    @pytest.mark.slow
    def test_a_reader_never_sees_a_part(self, tmp_path: Path) -> None:
        file = str(tmp_path / "f")
        versions = [bytes([number]) * 300_000 for number in range(4)]
        storage.write_bytes(file, versions[0])
        seen: set[bytes] = set()
        done = threading.Event()

        def read() -> None:
            while not done.is_set():
                seen.add(storage.read_bytes(file))

        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(20):
            for version in versions:
                storage.write_bytes(file, version)
        done.set()
        reader.join()
        assert seen <= set(versions)
        assert storage.list_files(str(tmp_path)) == ["f"]

    def test_writers_in_one_process_do_not_meet(self, tmp_path: Path) -> None:
        file = str(tmp_path / "f")
        writers = [
            threading.Thread(target=storage.write_bytes, args=(file, bytes([number]) * 100_000))
            for number in range(8)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert storage.read_bytes(file) in [bytes([number]) * 100_000 for number in range(8)]
        assert storage.list_files(str(tmp_path)) == ["f"]

    def test_a_failed_write_keeps_the_old_bytes_and_leaves_nothing(self, small_disk: Path) -> None:
        file = str(small_disk / "f")
        storage.write_bytes(file, b"old")
        with pytest.raises(TransientError, match="no space left on the device, free some"):
            storage.write_bytes(file, bytes(4 << 20))
        assert storage.read_bytes(file) == b"old"
        assert storage.list_files(str(small_disk)) == ["f"]

    def test_a_copy_onto_a_full_disk_says_so(self, small_disk: Path, tmp_path: Path) -> None:
        (tmp_path / "big").write_bytes(bytes(4 << 20))
        with pytest.raises(TransientError, match="no space left"):
            storage.copy_file(str(tmp_path / "big"), str(small_disk / "big"))


class TestWhatGoesWrong:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="none: not found"):
            storage.read_bytes(str(tmp_path / "none"))

    def test_a_folder_for_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="is a folder, a file is needed"):
            storage.read_bytes(str(tmp_path))

    def test_a_file_for_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(b"")
        with pytest.raises(UserError, match="f/x"):
            storage.write_bytes(str(tmp_path / "f" / "x"), b"")

    def test_a_name_too_long(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="the name is too long"):
            storage.read_bytes(str(tmp_path / ("x" * 300)))

    def test_a_link_to_itself(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        with pytest.raises(UserError):
            storage.read_bytes(str(tmp_path / "loop"))

    def test_a_missing_source_is_named_not_the_target(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="from: not found"):
            storage.copy_file(str(tmp_path / "from"), str(tmp_path / "to"))
        assert not (tmp_path / "to").exists()

    def test_removing_what_is_not_there_is_fine(self, tmp_path: Path) -> None:
        storage.remove_tree(str(tmp_path / "none"))
        storage.remove_file(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        pytest.param(OSError(errno.ENOSPC, "x"), TransientError, "no space left", id="a full disk"),
        pytest.param(OSError(errno.EDQUOT, "x"), TransientError, "quota", id="a quota"),
        pytest.param(OSError(errno.EROFS, "x"), UserError, "read-only", id="a read-only disk"),
        pytest.param(OSError(errno.EACCES, "x"), UserError, "permission denied", id="a missing right"),
        pytest.param(
            OSError(errno.ESTALE, "Stale file handle"), TransientError, "Stale", id="a network disk that left"
        ),
        pytest.param(
            OSError(errno.EIO, "Input/output error"),
            TransientError,
            "network file system failed (Input/output error)",
            id="a broken disk",
        ),
        pytest.param(
            OSError(errno.ENOTCONN, "x"), TransientError, "not mounted any more", id="FUSE that ended"
        ),
        pytest.param(
            OSError(errno.ENODEV, "x"), TransientError, "the disk is gone", id="a volume that was detached"
        ),
        pytest.param(
            OSError(errno.EUCLEAN, "x"), TransientError, "damaged", id="a file system to be checked"
        ),
        pytest.param(
            OSError(errno.ENOLCK, "No locks available"), TransientError, "No locks", id="NFS without locks"
        ),
        pytest.param(OSError(errno.ENETUNREACH, "x"), TransientError, "x", id="no way to the network disk"),
        pytest.param(OSError(errno.EMFILE, "x"), UserError, "ulimit -n", id="files of the process"),
        pytest.param(OSError(errno.ENFILE, "x"), UserError, "fs.file-max", id="files of the machine"),
        pytest.param(OSError(errno.EINVAL, "x"), OSError, "x", id="a wrong call is a bug"),
    ],
)
def test_local_errors_say_who_can_mend_them(error: OSError, kind: type[Exception], words: str) -> None:
    better = translate("/a/b", error, remote=False)
    assert type(better) is kind
    assert words in str(better)


PUT, HEAD = "during PutObject operation: ", "during HeadObject operation: "


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        pytest.param(f"NO_SUCH_BUCKET {PUT} it does not exist", UserError, "no such bucket", id="no bucket"),
        pytest.param(f"ACCESS_DENIED {HEAD} No body.", UserError, "access denied", id="no right"),
        pytest.param(f"UNKNOWN (HTTP status 403) {HEAD}", UserError, "access denied", id="no right, no code"),
        pytest.param(f"UNKNOWN (HTTP status 301) {HEAD}", UserError, "another region", id="another region"),
        pytest.param(f"NO_SUCH_KEY {HEAD}", UserError, "not found", id="no object"),
        pytest.param(f"VALIDATION {HEAD} Invalid DNS Label", UserError, "AWS_ENDPOINT_URL", id="no address"),
        pytest.param(f"SLOW_DOWN {PUT}", TransientError, "SLOW_DOWN", id="too many requests"),
        pytest.param(f"INTERNAL_FAILURE {PUT}", TransientError, "INTERNAL", id="a sick server"),
        pytest.param(
            f"NETWORK_CONNECTION {HEAD} curlCode: 7", TransientError, "curlCode", id="no connection"
        ),
    ],
)
@pytest.mark.parametrize("wrapped", [OSError, FileNotFoundError])
def test_the_word_of_an_object_store_counts_however_it_is_wrapped(
    text: str, kind: type[Exception], words: str, wrapped: type[OSError]
) -> None:
    better = translate("s3://b/k", wrapped(f"When doing a thing: AWS Error {text}"), remote=True)
    assert type(better) is kind
    assert words in str(better)
    assert str(better).startswith("s3://b/k: ")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, {"region": "us-east-1"}, id="nothing set"),
        pytest.param({"AWS_ENDPOINT_URL": "http://a"}, {"endpoint_override": "http://a"}, id="an endpoint"),
        pytest.param(
            {"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b"},
            {"endpoint_override": "http://b"},
            id="the service's own endpoint goes first",
        ),
        pytest.param({"AWS_DEFAULT_REGION": "eu-1"}, {"region": "eu-1"}, id="a default region"),
        pytest.param({"AWS_REGION": "eu-2", "AWS_DEFAULT_REGION": "eu-1"}, {"region": "eu-2"}, id="a region"),
        pytest.param(
            {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
            {"access_key": "k", "secret_key": "s", "session_token": "t"},
            id="keys",
        ),
    ],
)
def test_s3_takes_the_usual_variables(environment: dict[str, str], expected: dict[str, str]) -> None:
    options = storage.s3_options(environment)
    assert expected.items() <= options.items()
    assert options["allow_bucket_creation"] is False
    assert storage.s3_options({"AWS_ACCESS_KEY_ID": "half"}).keys() == storage.s3_options({}).keys()
