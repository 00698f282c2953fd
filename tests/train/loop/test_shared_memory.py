"""Only blocks that nobody maps any more are swept away; who wants new ones waits for the turn."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from daybreak_contracts.errors import TransientError
from daybreak_train.loop import shared_memory

OLD, NOW = 0.0, 1000.0


@pytest.mark.parametrize(
    ("blocks", "mapped", "expected"),
    [
        pytest.param([("000000_locals", OLD)], [], {"000000"}, id="nobody-maps-it"),
        pytest.param(
            [("000000_locals", OLD), ("000000_barrier", OLD)], ["000000_barrier"], set(), id="one-is-mapped"
        ),
        pytest.param([("000000_locals", NOW - 5)], [], set(), id="young-ones-may-be-about-to-be-mapped"),
        pytest.param([("sem.mp-x", OLD), ("psm_1", OLD)], [], set(), id="names-of-others-are-left-alone"),
        pytest.param(
            [("000000_a", OLD), ("000001_a", OLD)], ["000000_a"], {"000001"}, id="each-run-for-itself"
        ),
    ],
)
def test_stale_prefixes(blocks: list[tuple[str, float]], mapped: list[str], expected: set[str]) -> None:
    assert shared_memory.stale_prefixes(blocks, mapped, NOW) == expected


def test_a_sweep_spares_what_a_process_maps(tmp_path: Path) -> None:
    blocks, locks = Path("/dev/shm"), tmp_path / "locks"
    locks.mkdir()
    number = 900_000 + os.getpid() % 90_000
    kept, gone = blocks / f"{number:06}_locals", blocks / f"{number + 1:06}_locals"
    for path in (
        kept,
        gone,
        locks / f"{number + 1:06}_barrier_filelock",
        locks / f"{number:06}_barrier_filelock",
    ):
        path.write_bytes(b"x" * 4096)
    try:
        with kept.open("r+b") as file, mmap.mmap(file.fileno(), 4096):
            shared_memory.sweep(time.time() + 2 * shared_memory.GRACE_S, blocks, locks)
            assert (kept.exists(), gone.exists()) == (True, False)
            assert [path.name for path in locks.iterdir()] == [f"{number:06}_barrier_filelock"]
    finally:
        kept.unlink(missing_ok=True)
        gone.unlink(missing_ok=True)


@pytest.mark.slow
def test_a_sweep_bears_with_runs_that_end_beside_it(tmp_path: Path) -> None:
    blocks = [tmp_path / f"{number:06}_locals" for number in range(200)]
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            for block in blocks:
                block.touch()
            for block in blocks:
                block.unlink()

    with ThreadPoolExecutor() as others:
        neighbours = others.submit(come_and_go)
        try:
            for _ in range(100):
                assert shared_memory.sweep(NOW, tmp_path, tmp_path / "locks") == 0, "theirs are young"
        finally:
            ended.set()
        neighbours.result()


def test_a_machine_without_shared_memory_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert shared_memory.sweep(NOW, tmp_path / "nowhere") == 0


def test_one_at_a_time_has_the_turn_to_take_a_name(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def takes_a_name(number: int) -> None:
        with shared_memory.turn(tmp_path):
            inside.append(number)
            time.sleep(0.001)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(takes_a_name, range(40)))
    assert most == [1] * 40


HOLDER = """
import sys
from pathlib import Path
from daybreak_train.loop import shared_memory
with shared_memory.turn(Path(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.read()
"""


def test_a_turn_that_does_not_come_says_what_is_held_and_ends_with_its_holder(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        refused = pytest.raises(TransientError, match=r"another training on this machine")
        with refused, shared_memory.turn(tmp_path, within_s=0.05):
            pass
        holder.kill()
        with shared_memory.turn(tmp_path, within_s=20):
            pass


def test_a_block_that_another_rank_is_about_to_make_is_waited_for() -> None:
    from daybreak_train.loop import data_loading

    assert data_loading.streaming.shared.memory.BuiltinSharedMemory is shared_memory.whole_block
    name = f"daybreak_test_{os.getpid()}"
    path = Path("/dev/shm") / name
    path.touch()
    try:
        with pytest.raises(ValueError, match="empty file"):
            shared_memory.whole_block(name, within_s=0.05)
        maker = threading.Timer(0.2, os.truncate, (path, 12))
        maker.start()
        block = shared_memory.whole_block(name)
        assert block.size == 12
        block.close()
        resource_tracker.unregister(f"/{name}", "shared_memory")  # nobody is left to remove it
        maker.join()
    finally:
        path.unlink(missing_ok=True)
