"""Artifacts become true at once, whoever is killed, comes second, or lays hands on them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts import artifacts, staging, storage
from daybreak_contracts.artifacts import FileEntry, Manifest
from daybreak_contracts.errors import ArtifactError, TransientError, UserError

Write = Callable[[Path], dict[str, Any]]


def writer(files: dict[str, bytes], result: dict[str, Any] | None = None) -> Write:
    def write(folder: Path) -> dict[str, Any]:
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return result or {"n": len(files)}

    return write


def make(uri: Path | str, write: Write, digest: str = "d") -> tuple[Manifest, bool]:
    return artifacts.produce(
        str(uri), step="s", digest=digest, inputs={"a": "b"}, work_dir="/unused", write=write
    )


FILES = {"a.txt": b"a", "sub/ünï 日本.bin": b"\0\xff", "sub/manifest.json": b"mine", "empty": b""}


def test_made_once_and_found_again(tmp_path: Path) -> None:
    manifest, cached = make(tmp_path / "x", writer(FILES))
    assert not cached
    assert [entry.path for entry in manifest.files] == sorted(FILES)
    assert make(tmp_path / "x", writer({"other": b""})) == (manifest, True)
    assert artifacts.load(str(tmp_path / "x")) == manifest
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_equal_work_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("x", "y"):
        make(tmp_path / name, writer(FILES))
    assert (tmp_path / "x/manifest.json").read_bytes() == (tmp_path / "y/manifest.json").read_bytes()


def test_content_digest_is_of_the_files_alone(tmp_path: Path) -> None:
    first, _ = make(tmp_path / "x", writer(FILES), "d1")
    second, _ = make(tmp_path / "y", writer(FILES, {"m": 2}), "d2")
    third, _ = make(tmp_path / "z", writer({**FILES, "a.txt": b"b"}), "d1")
    assert first.content_digest == second.content_digest != third.content_digest


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> dict[str, Any]:
        (folder / "half").write_bytes(b"x")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        make(tmp_path / "x", fail)
    assert list(tmp_path.iterdir()) == []


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def turn_into_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


CHANGED = "was changed after it was committed"


@pytest.mark.parametrize(
    ("name", "harm", "message"),
    [
        pytest.param("a.txt", lambda file: file.write_bytes(b"b"), CHANGED, id="a changed byte"),
        pytest.param("a.txt", lambda file: file.write_bytes(b"aa"), CHANGED, id="a byte more"),
        pytest.param("a.txt", lambda file: file.unlink(), "but missing", id="a file gone"),
        pytest.param("a.txt", turn_into_folder, "but missing", id="a folder for a file"),
        pytest.param("manifest.json", lambda file: file.unlink(), "no artifact here", id="no manifest"),
        pytest.param(
            "manifest.json", lambda file: file.write_bytes(b""), "no artifact here", id="nothing in it"
        ),
        pytest.param(
            "manifest.json", lambda file: file.write_bytes(b"{}"), "not a manifest", id="another manifest"
        ),
        pytest.param("manifest.json", cut, "no artifact here", id="a torn manifest"),
    ],
)
def test_what_was_harmed_is_refused_and_made_again(
    tmp_path: Path, name: str, harm: Callable[[Path], Any], message: str
) -> None:
    place = tmp_path / "x"
    manifest, _ = make(place, writer(FILES))
    harm(place / name)
    with pytest.raises(ArtifactError, match=message):
        artifacts.verify(str(place), artifacts.load(str(place)))
    assert artifacts.find(str(place), "d") is None
    assert make(place, writer(FILES)) == (manifest, False)
    artifacts.verify(str(place), artifacts.load(str(place)))
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_beside_the_listed_ones_does_no_harm(tmp_path: Path) -> None:
    manifest, _ = make(tmp_path / "x", writer(FILES))
    (tmp_path / "x/left-over").write_bytes(b"")
    assert artifacts.find(str(tmp_path / "x"), "d") == manifest


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "..", "", "a\0b", "manifest.json", "/"])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(tmp_path: Path, path: str) -> None:
    place = tmp_path / "x"
    make(place, writer({"a": b"secret"}))
    (tmp_path / "secret").write_bytes(b"secret")
    document = json.loads((place / "manifest.json").read_text())
    document["files"][0]["path"] = path
    (place / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match="not a manifest of ours"):
        artifacts.load(str(place))
    assert artifacts.find(str(place), "d") is None


@given(st.lists(st.sampled_from(["..", ".", "a", "", "é", " ", "a..b"]), max_size=5).map("/".join))
def test_every_path_that_is_taken_stays_inside(path: str) -> None:
    try:
        entry = FileEntry(path=path, size=0, sha256="")
    except ValueError:
        return
    assert os.path.normpath(f"/folder/{entry.path}").startswith("/folder/") or not entry.path.strip("./")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(st.text(), JSON))
def test_digests_do_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    turned = dict(reversed(list(value.items())))
    assert artifacts.digest_of(value) == artifacts.digest_of(turned)
    assert artifacts.digest_of([value]) != artifacts.digest_of(value)


def test_every_file_has_the_mode_that_the_umask_allows(tmp_path: Path) -> None:
    """safetensors writes through a temporary file, whose mode is 0600."""

    def write(staging: Path) -> dict[str, Any]:
        (staging / "part").mkdir(mode=0o700)
        for name in ("secret", "part/secret"):
            (staging / name).touch(mode=0o600)
        return {}

    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    uri = str(tmp_path / "out" / "x")
    artifacts.produce(uri, step="x", digest="d" * 64, inputs={}, work_dir=str(tmp_path), write=write)
    for path in (tmp_path / "out").rglob("*"):
        like = tmp_path / ("folder" if path.is_dir() else "file")
        assert oct(path.stat().st_mode) == oct(like.stat().st_mode), path


def test_the_second_writer_gets_what_stands(tmp_path: Path) -> None:
    def slow(folder: Path) -> dict[str, Any]:
        make(tmp_path / "x", writer({"a": b"first"}, {"by": "first"}))  # the other one comes in between
        return writer({"a": b"second"}, {"by": "second"})(folder)

    manifest, cached = make(tmp_path / "x", slow)
    assert not cached
    assert manifest.result == {"by": "first"}
    assert (tmp_path / "x/a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_who_fails_because_another_was_done_first_takes_its_artifact(tmp_path: Path) -> None:
    def robbed(folder: Path) -> dict[str, Any]:
        make(tmp_path / "x", writer({"a": b"first"}, {"by": "first"}))
        raise RuntimeError("2 of 9 documents are in the shards")  # the first one tidied up

    manifest, cached = make(tmp_path / "x", robbed)
    assert cached
    assert manifest.result == {"by": "first"}
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_other_work_at_the_same_place_replaces_what_stood(tmp_path: Path) -> None:
    make(tmp_path / "x", writer({"a": b"1"}), "d1")
    manifest, cached = make(tmp_path / "x", writer({"b": b"2"}), "d2")
    assert not cached
    assert storage.list_files(str(tmp_path)) == ["x/b", "x/manifest.json"]
    assert artifacts.find(str(tmp_path / "x"), "d2") == manifest


def test_a_file_where_the_artifact_should_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(UserError, match="a file stands where a folder is needed"):
        make(tmp_path / "x", writer(FILES))
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_full_disk_is_said_and_nothing_is_left_on_it(small_disk: Path) -> None:
    with pytest.raises(TransientError, match="no space left on the device, free some and run again"):
        make(small_disk / "x", writer({"big": bytes(4 << 20)}))
    assert list(small_disk.iterdir()) == []
    assert not make(small_disk / "x", writer({"small": b"x"}))[1]


WRITER = """
import sys, time
from pathlib import Path
from daybreak_contracts import artifacts

def write(folder):
    for number in range(200):
        (folder / f"{number}").write_bytes(bytes([number]) * 20000)
        print(number, flush=True)
    return {"n": 200}

artifacts.produce(sys.argv[1], step="s", digest="d", inputs={}, work_dir=sys.argv[2], write=write)
print("done", flush=True)
"""


class TestKilledWriters:
    def start(self, uri: Path, work_dir: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", WRITER, str(uri), str(work_dir)], stdout=subprocess.PIPE, text=True
        )

    @pytest.mark.slow
    @pytest.mark.parametrize("line", ["0", "100", "199", "done"])
    def test_killed_at_any_moment_it_is_all_or_nothing(self, tmp_path: Path, line: str) -> None:
        process = self.start(tmp_path / "x", tmp_path)
        assert process.stdout is not None
        for said in process.stdout:
            if said.strip() == line:
                break
        if line == "199":
            time.sleep(0.003)  # into the hashing and the rename
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = artifacts.find(str(tmp_path / "x"), "d")
        assert (found is None) == (not (tmp_path / "x").exists())
        if line == "done":
            assert found is not None
        again = self.start(tmp_path / "x", tmp_path)
        assert again.wait(timeout=60) == 0
        assert again.stdout is not None
        again.stdout.close()
        manifest = artifacts.load(str(tmp_path / "x"))
        artifacts.verify(str(tmp_path / "x"), manifest)
        assert len(manifest.files) == 200
        assert [path.name for path in tmp_path.iterdir()] == ["x"], "what the dead one left is swept up"

    @pytest.mark.slow
    def test_many_writers_at_once_make_one_whole_artifact(self, tmp_path: Path) -> None:
        writers = [self.start(tmp_path / "x", tmp_path) for _ in range(3)]
        for process in writers:
            assert process.communicate(timeout=120)[0].endswith("done\n")
            assert process.returncode == 0
        artifacts.verify(str(tmp_path / "x"), artifacts.load(str(tmp_path / "x")))
        assert [path.name for path in tmp_path.iterdir()] == ["x"]


class TestStagingFolders:
    def test_only_folders_of_the_dead_of_this_container_are_swept(self, tmp_path: Path) -> None:
        mine = staging.make(tmp_path)
        place = mine.name.removeprefix(".staging-").partition("+")[0]
        dead = tmp_path / mine.name.replace(f"+{os.getpid()}+", "+4194303+")
        reused = tmp_path / f".staging-{place}+{os.getpid()}+1+{'0' * 32}"
        other_pod = tmp_path / f".staging-{place}1+4194303+1+{'0' * 32}"
        strange = tmp_path / ".staging-of-somebody"
        for folder in (dead, reused, other_pod, strange):
            (folder / "sub").mkdir(parents=True)
        another = staging.make(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {
            folder.name for folder in (mine, another, other_pod, strange)
        }
