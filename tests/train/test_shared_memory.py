"""Only blocks that nobody maps any more are swept away."""

from __future__ import annotations

import mmap
import os
import time
from pathlib import Path

import pytest

from daybreak_train import shared_memory

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


def test_a_machine_without_shared_memory_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert shared_memory.sweep(NOW, tmp_path / "nowhere") == 0
