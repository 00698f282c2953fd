"""Storage and artifacts against a real S3 server process, and against none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import artifacts, storage
from daybreak_contracts.errors import ArtifactError, TransientError, UserError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(log: Path, **variables: str) -> tuple[subprocess.Popen[bytes], str]:
    port = free_port()
    with log.open("wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            env={**os.environ, **variables},
            stdout=file,
            stderr=file,
        )
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=5).close()
            return server, url
        except urllib.error.HTTPError:  # it answers, whatever it says
            return server, url
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"no S3 server after a minute: {log.read_text()}")


def stop(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process, url = start_server(tmp_path_factory.mktemp("s3") / "log")
    make_bucket(url, "models")
    yield url
    stop(process)


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that knows nobody's keys."""
    process, url = start_server(tmp_path_factory.mktemp("s3") / "log", INITIAL_NO_AUTH_ACTION_COUNT="0")
    yield url
    stop(process)


def make_bucket(url: str, name: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", method="PUT"), timeout=30).close()


@pytest.fixture
def point_to(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make an S3 server the one that the environment names."""

    def point(url: str) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    return point


@pytest.fixture
def folder(server: str, point_to: Callable[[str], None]) -> str:
    point_to(server)
    return f"s3://models/{uuid.uuid4().hex}"


@pytest.mark.parametrize(
    "name", ["plain.txt", "with space", "ünïcödé", "日本語.py", "a+b%20c", "#hash?x", "-dash"]
)
def test_any_name_keeps_its_bytes(folder: str, name: str) -> None:
    storage.write_bytes(f"{folder}/in/{name}", b"\0\xff")
    assert storage.read_bytes(f"{folder}/in/{name}") == b"\0\xff"
    assert storage.list_files(folder) == [f"in/{name}"]
    assert storage.exists(f"{folder}/in")
    assert storage.exists(f"{folder}/in/{name}")


def test_folders_are_copied_in_both_directions(folder: str, tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/big").write_bytes(os.urandom(9 << 20))
    (tmp_path / "a/empty").write_bytes(b"")
    storage.copy_tree(str(tmp_path / "a"), f"{folder}/copy")
    storage.copy_tree(f"{folder}/copy", str(tmp_path / "back"))
    assert storage.list_files(str(tmp_path / "back")) == ["b/big", "empty"]
    assert (tmp_path / "back/b/big").read_bytes() == (tmp_path / "a/b/big").read_bytes()


def test_folders_and_files_are_removed(folder: str) -> None:
    for name in ("a/1", "a/2", "b"):
        storage.write_bytes(f"{folder}/{name}", b"x")
    storage.remove_tree(f"{folder}/a")
    storage.remove_file(f"{folder}/b")
    storage.remove_file(f"{folder}/b")
    storage.remove_tree(f"{folder}/a")
    assert storage.list_files(folder) == []


def test_an_artifact_that_is_read_is_never_gone_while_equal_work_ends_again(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def produce(content: bytes, between: Callable[[], object] = lambda: None) -> artifacts.Manifest:
        def write(staging: Path) -> dict[str, Any]:
            (staging / "a").write_bytes(content)
            between()
            return {}

        uri, work = f"{folder}/x", str(tmp_path)
        return artifacts.produce(uri, step="x", digest="d", inputs={}, work_dir=work, write=write)[0]

    gone: list[str] = []
    remove = storage.remove_file
    monkeypatch.setattr(storage, "remove_file", lambda uri: (gone.append(uri), remove(uri)))
    late = produce(b"second", between=lambda: (produce(b"first"), gone.clear()))
    assert gone == []
    assert storage.read_bytes(f"{folder}/x/a") == b"first"
    assert late == artifacts.load(f"{folder}/x")


def test_a_missing_object_is_the_users_to_mend(folder: str) -> None:
    with pytest.raises(UserError, match="none: not found"):
        storage.read_bytes(f"{folder}/none")
    assert storage.list_files(f"{folder}/none") == []
    assert not storage.exists(f"{folder}/none")


def test_a_bucket_is_no_file_and_a_slash_at_the_end_is_no_matter(folder: str) -> None:
    with pytest.raises(UserError, match="is a folder, a file is needed"):
        storage.read_bytes("s3://models")
    storage.write_bytes(f"{folder}/a/b", b"x")
    assert storage.list_files(f"{folder}/a/") == ["b"]
    assert storage.exists(f"{folder}/a/")


def test_a_missing_bucket_is_the_users_to_mend(folder: str) -> None:
    with pytest.raises(UserError, match="no such bucket"):
        storage.write_bytes("s3://nobody-made-this/x", b"")
    with pytest.raises(UserError, match="not found"):
        storage.read_bytes("s3://nobody-made-this/x")


def test_keys_nobody_knows_are_the_users_to_mend(strict_server: str, point_to: Callable[[str], None]) -> None:
    point_to(strict_server)
    for attempt in (
        lambda: storage.read_bytes("s3://models/x"),
        lambda: storage.write_bytes("s3://models/x", b""),
        lambda: storage.exists("s3://models/x"),
        lambda: storage.list_files("s3://models/x"),
    ):
        with pytest.raises(UserError, match=r"access denied .*check AWS_ACCESS_KEY_ID"):
            attempt()


def test_no_server_is_worth_another_try(point_to: Callable[[str], None]) -> None:
    point_to(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TransientError, match=r"s3://models/x: .*NETWORK_CONNECTION"):
        storage.read_bytes("s3://models/x")


def test_the_environment_can_be_given(server: str) -> None:
    environment = {"AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    fs, path = storage.filesystem("s3://models/given/x", environment)
    with fs.open(path, "wb") as file:
        file.write(b"1")
    assert fs.exists("models/given/x")


class TestArtifacts:
    def make(self, uri: str, work_dir: Path, text: str = "hello") -> tuple[artifacts.Manifest, bool]:
        def write(staging: Path) -> dict[str, Any]:
            (staging / "sub").mkdir()
            (staging / "sub/ü.txt").write_text(text)
            return {"n": 1}

        return artifacts.produce(uri, step="s", digest="d", inputs={}, work_dir=str(work_dir), write=write)

    def test_made_once_and_found_again(self, folder: str, tmp_path: Path) -> None:
        manifest, cached = self.make(folder, tmp_path)
        assert not cached
        assert self.make(folder, tmp_path, "never written") == (manifest, True)
        assert storage.list_files(folder) == ["manifest.json", "sub/ü.txt"]
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("harm", ["changed", "gone", "torn manifest", "no manifest"])
    def test_what_was_harmed_is_made_again(self, folder: str, tmp_path: Path, harm: str) -> None:
        folder = f"{folder}/{harm.replace(' ', '-')}"
        manifest, _ = self.make(folder, tmp_path)
        if harm == "changed":
            storage.write_bytes(f"{folder}/sub/ü.txt", b"jello")
        elif harm == "gone":
            storage.remove_file(f"{folder}/sub/ü.txt")
        elif harm == "torn manifest":
            storage.write_bytes(f"{folder}/manifest.json", storage.read_bytes(f"{folder}/manifest.json")[:50])
        else:
            storage.remove_file(f"{folder}/manifest.json")
        assert artifacts.find(folder, "d") is None
        with pytest.raises(ArtifactError):
            artifacts.verify(folder, artifacts.load(folder))
        assert self.make(folder, tmp_path) == (manifest, False)
        artifacts.verify(folder, artifacts.load(folder))

    @pytest.mark.slow
    def test_killed_before_the_manifest_nothing_is_there(self, folder: str, tmp_path: Path) -> None:
        storage.write_bytes(f"{folder}/sub/ü.txt", b"hel")  # as a writer leaves it that dies while uploading
        assert artifacts.find(folder, "d") is None
        assert not self.make(folder, tmp_path)[1]

    @pytest.mark.slow
    def test_a_store_that_is_gone_is_not_taken_for_a_missing_artifact(
        self, point_to: Callable[[str], None]
    ) -> None:
        point_to(f"http://127.0.0.1:{free_port()}")
        with pytest.raises(TransientError):
            artifacts.find("s3://models/x", "d")
