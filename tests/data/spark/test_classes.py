"""The classes that Spark sessions share: whose archive it is, how it is made, and that a bad one only costs time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daybreak_data import class_archive
from daybreak_data.spark.classes import archive_of, recorded, shared
from daybreak_data.spark.java import Java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def a_java(home: Path, release: str) -> Java:
    home.mkdir(parents=True, exist_ok=True)
    (home / "release").write_text(release)
    return Java(home, 17)


def test_each_java_has_its_own(tmp_path: Path) -> None:
    one = archive_of(a_java(tmp_path / "a", "17.0.9"), tmp_path)
    assert one == archive_of(a_java(tmp_path / "a", "17.0.9"), tmp_path)
    assert one.parent == tmp_path
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert one == archive_of(Java(tmp_path / "link", 17), tmp_path)
    others = {
        archive_of(a_java(tmp_path / "a", "17.0.10"), tmp_path),
        archive_of(a_java(tmp_path / "b", "17.0.9"), tmp_path),
        archive_of(Java(tmp_path / "no-release-file", 21), tmp_path),
    }
    assert len(others | {one}) == 4


def test_java_is_told_of_one_that_is_there_alone(tmp_path: Path) -> None:
    archive = tmp_path / "x.jsa"
    assert shared(archive) == ()
    archive.write_bytes(b"classes")
    assert shared(archive) == (f"-XX:SharedArchiveFile={archive}",)
    assert recorded(archive) == (f"-XX:ArchiveClassesAtExit={archive}",)


def test_it_is_made_once_and_takes_the_place_of_older_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive, older = (tmp_path / f"spark-classes-{key}.jsa" for key in ("new", "old"))
    older.write_bytes(b"of the Java before")
    (tmp_path / ".spark-classes" / "of-one-that-was-killed").mkdir(parents=True)

    def write(folder: Path, to: Path) -> None:
        assert older.exists()  # until the new one is whole
        to.write_bytes(b"classes")

    monkeypatch.setattr(class_archive, "_run_steps", write)
    made: list[bool] = []
    several = [threading.Thread(target=lambda: made.append(class_archive.make(archive))) for _ in range(3)]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    assert sorted(made) == [False, False, True]
    assert archive.read_bytes() == b"classes"
    assert not older.exists()
    assert list((tmp_path / ".spark-classes").iterdir()) == []
    assert capsys.readouterr().err == "setup: recording the classes of Spark, once: half a minute\n"


def test_one_that_fails_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, to: Path) -> None:
        to.write_bytes(b"half of th")
        raise KeyboardInterrupt

    monkeypatch.setattr(class_archive, "_run_steps", fail)
    with pytest.raises(KeyboardInterrupt):
        class_archive.make(tmp_path / "spark-classes-new.jsa")
    assert [path.name for path in tmp_path.iterdir()] == [".spark-classes"]
    assert list((tmp_path / ".spark-classes").iterdir()) == []


def test_a_session_shares_what_set_up_made(spark: SparkSession) -> None:
    from daybreak_data.spark.java import require_java

    archive = archive_of(require_java(os.environ), Path(sys.prefix))
    if not archive.exists():
        pytest.skip("set-up recorded no classes in this environment: make setup")
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    assert str(archive) in Path(f"/proc/{gateway.proc.pid}/maps").read_text()


@pytest.mark.needs("jvm")
def test_a_torn_archive_and_a_folder_with_a_space_stop_no_session(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from daybreak_data.spark.classes import archive_of
from daybreak_data.spark.java import require_java
from daybreak_data.spark.session import open_session
sys.prefix = sys.argv[1]
archive_of(require_java(os.environ), Path(sys.prefix)).write_bytes(b"half of th")
with open_session("torn", 1, sys.argv[2]) as session:
    print(session.range(3).count())
"""
    work = tmp_path / 'my "first" model'
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), str(work)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    assert list(work.iterdir()) == []
