"""The documents step as its own process: any number of cores, killed, on a full disk, on S3, without Java."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daybreak_contracts import artifacts, storage

pytestmark = [pytest.mark.slow, pytest.mark.needs("jvm")]
# Two packages of this environment: some megabytes of real code, enough for several pieces and parts.
PACKAGES = {
    "name": "env",
    "installedPackages": {"packages": ["networkx", "jinja2", "sympy"]},
    "maxBytes": 9_500_000,
}


def content_of(result: dict[str, Any]) -> tuple[str, str]:
    """The digest of the bytes, and that of the work."""
    manifest = artifacts.load(result["result"]["uri"])
    return manifest.content_digest, manifest.digest


def staging_folders(output: Path) -> list[Path]:
    """What a writer has not published."""
    return [path for path in output.glob("*/.*") if path.is_dir()]


def wait_for(condition: Any, process: subprocess.Popen[Any], what: str) -> None:
    """Wait until something is true; the process must not end before."""
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, f"ended before {what}"
        assert time.monotonic() < deadline, f"no {what}"
        time.sleep(0.02)


def play_sources(play: Any) -> tuple[dict[str, Any], ...]:
    """A folder and real packages."""
    if not (play.root / "code").exists():
        play.write_world(play.root / "code")
        play.write_trouble(play.root / "code")
    return play.directory("code"), PACKAGES


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, play_at: Any) -> tuple[Any, tuple[str, str]]:
    """The step on one core, undisturbed, and the digests of what it made."""
    play = play_at(tmp_path_factory.mktemp("alone"))
    code, result, said = play.run_command(play.arguments(*play_sources(play), cores=1))
    assert code == 0, said
    assert [line for line in said.splitlines() if not line.startswith("documents: ")] == []
    assert list((play.root / "work").iterdir()) == []
    assert len(list((Path(result["result"]["uri"]) / "documents").iterdir())) > 1
    assert len(list((play.root / "out" / "ingest").glob("*/documents/part-00001.parquet"))) == 1
    return play, content_of(result)


def test_a_step_on_four_cores_that_was_killed_twice_ends_in_the_same_bytes(
    alone: tuple[Any, tuple[str, str]],
) -> None:
    play, expected = alone
    args = play.arguments(*play_sources(play), cores=4, output=str(play.root / "killed"))
    kill_between_the_stages(play, args)
    code, result, said = play.run_command(args)
    assert code == 0, said
    assert content_of(result) == expected
    assert staging_folders(play.root / "killed") == []


def kill_between_the_stages(play: Any, args: Any) -> None:
    """Kill the step twice: while the second source is read, and while the documents are made."""
    output = Path(args.output)

    def committed() -> int:
        return len(list((output / "ingest").glob("[!.]*")))

    def reading_the_second() -> bool:
        return committed() == 1 and len(list((output / "ingest").glob(".staging-*/documents/*"))) > 0

    def making_documents() -> bool:
        return len(list((output / "documents").glob(".staging-*/*"))) > 0

    for condition, what in ((reading_the_second, "second source"), (making_documents, "documents")):
        with subprocess.Popen(
            play.command(args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            wait_for(condition, process, what)
            process.send_signal(signal.SIGKILL)
        assert not list((output / "documents").glob("[!.]*"))
    assert committed() == 2


def test_the_java_process_ends_with_a_killed_step(play: Any) -> None:
    play.write_world(play.root / "code", repositories=1)
    args = play.arguments(play.directory("code"))
    with subprocess.Popen(
        play.command(args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_for(lambda: java_children(process.pid), process, "Java process")
        (java, *_) = java_children(process.pid)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while is_alive(java):
        assert time.monotonic() < deadline, "the Java process lives on"
        time.sleep(0.1)


def test_a_java_process_that_dies_is_said_and_worth_another_try(play: Any) -> None:
    play.write_world(play.root / "code", repositories=1)
    args = play.arguments(play.directory("code"))
    with subprocess.Popen(play.command(args), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_for(lambda: list((play.root / "out" / "ingest").glob(".staging-*/drops")), process, "work")
        os.kill(java_children(process.pid)[0], signal.SIGKILL)
        _, said = process.communicate(timeout=240)
    assert process.returncode == 75, said.decode()
    result = json.loads((play.root / "command" / "result.json").read_text())
    assert "Java process ended" in result["error"]["message"]
    assert list((play.root / "out" / "ingest").iterdir()) == []


def test_an_interrupted_step_says_so_and_leaves_nothing_running(play: Any) -> None:
    play.write_world(play.root / "code")
    args = play.arguments(play.directory("code"))
    with subprocess.Popen(
        play.command(args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_for(lambda: list((play.root / "out" / "ingest").glob(".staging-*/drops")), process, "work")
        (java, *_) = java_children(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=240)
    result = json.loads((play.root / "command" / "result.json").read_text())
    assert (result["error"]["exitCode"], result["error"]["kind"]) == (130, "KeyboardInterrupt")
    assert not is_alive(java)
    assert list((play.root / "work").iterdir()) == []


def java_children(parent: int) -> list[int]:
    """Process ids of Java processes started by this one."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = status.read_text().rpartition(")")
            if name.endswith("(java") and int(rest.split()[1]) == parent:
                found.append(int(status.parent.name))
    return found


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """A disk of ``size`` bytes at ``folder``; yields False where this user may not mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = (
        shutil.which("mount") is not None
        and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_said_and_leaves_nothing_behind(play: Any) -> None:
    packages = {"name": "env", "installedPackages": {"packages": ["sympy"]}}
    output = play.root / "disk"
    with small_disk(output, 2 << 20) as mounted:
        args = play.arguments(packages, output=str(output))
        if not mounted:  # a bound on the size of a file looks the same to the writer
            resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        try:
            code, result, said = play.run_command(args)
        finally:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert code == 75, said
        assert "no space left on the device" in result["error"]["message"]
        assert [path for path in output.rglob("*") if path.is_file()] == []


def test_sources_and_output_on_s3(play: Any, bucket: str) -> None:
    storage.write_bytes(
        f"{bucket}/in/lib.tgz", tar_of({"lib/a.py": play.module(1), "lib/b.py": play.module(2)})
    )
    rows = {"content": [play.module(3), play.module(1)], "path": ["c.py", "again.py"], "repo": ["r", "r"]}
    sink = io.BytesIO()
    pq.write_table(pa.table(rows), sink)
    storage.write_bytes(f"{bucket}/stack/part-0.parquet", sink.getvalue())
    sources = (
        {"name": "vendored", "archives": {"uris": [f"{bucket}/in/lib.tgz"]}},
        {"name": "stack", "parquet": {"uri": f"{bucket}/stack", "repositoryColumn": "repo"}},
    )
    args = play.arguments(*sources, output=f"{bucket}/runs/one")
    code, result, said = play.run_command(args)
    assert code == 0, said
    found = result["result"]
    assert (found["num_files"], found["num_documents"], found["dropped"]) == (4, 3, {"exact-duplicate": 1})
    artifacts.verify(found["uri"], artifacts.load(found["uri"]))
    code, again, said = play.run_command(args)
    assert (code, again["result"]) == (0, {**found, "cached": True})


def tar_of(files: dict[str, str]) -> bytes:
    """A gzipped tar."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(sink.getvalue())


def test_the_command_line_says_what_is_wrong_with_its_arguments(play: Any) -> None:
    args = play.arguments(play.directory("nowhere"))
    code, result, said = play.run_command(args)
    assert code == 2
    assert "source nowhere" in result["error"]["message"]
    assert "Traceback" not in said
