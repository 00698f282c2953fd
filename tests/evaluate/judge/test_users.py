"""The judge for an ordinary user, with user namespaces and in a pod without; and with the system's own Python."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import pytest

from daybreak_evaluate.judge.rootfs import outermost
from tests.evaluate.judge import ordinary_user

pytestmark = pytest.mark.skipif(
    ordinary_user.interpreter() is None, reason="no Python of this machine can be started by another user"
)
HONEST = "def solve(x):\n    return x + 1\n"
TEST = "def check(candidate):\n    assert candidate(1) == 2\n"
PLACES: dict[str, dict[str, Any]] = {
    "namespaces": {},
    "pod": {"pod": True},
    "pod without Landlock": {"pod": True, "without": ("namespaces", "landlock")},
}


def program(source: str, test: str = TEST) -> dict[str, str]:
    return {"source": source, "entry_point": "solve", "trusted": "", "test": test}


def in_tier(place: str, found: dict[str, Any]) -> dict[str, Any]:
    if place == "namespaces" and found["level"] != 2:
        pytest.skip(f"this machine gives an ordinary user no namespaces: {found['tier']}")
    return found


@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        pytest.param(["/usr/lib", "/usr/lib/libpython.so"], ["/usr/lib"], id="a file inside a folder"),
        pytest.param(
            ["/usr/lib64/python3.12", "/usr/lib64"], ["/usr/lib64"], id="a folder inside one, named first"
        ),
        pytest.param(["/lib", "/lib64"], ["/lib", "/lib64"], id="a name that begins alike"),
        pytest.param(["/a", "/a"], ["/a"], id="twice the same"),
        pytest.param([], [], id="none"),
    ],
)
def test_places_inside_others_come_along(paths: list[str], kept: list[str]) -> None:
    assert outermost(paths) == kept


@pytest.mark.slow
@pytest.mark.parametrize("root", [True, False])
def test_the_strong_tier_is_reached_with_the_systems_own_python(root: bool) -> None:
    if root and os.geteuid() != 0:
        pytest.skip("needs root")
    found = in_tier("namespaces", ordinary_user.judge([program(HONEST)], root=root))
    assert found["results"] == ["passed"]
    assert "no namespaces" not in found["tier"]


@pytest.mark.slow
def test_a_pod_gets_the_weak_tier_and_is_told_why_and_what_it_lacks() -> None:
    found = ordinary_user.judge([program(HONEST)], pod=True)
    assert found["results"] == ["passed"]
    assert found["level"] == 1
    assert "no namespaces ([Errno 1] unshare: Operation not permitted)" in found["tier"]
    assert "can be asked for" in found["tier"] or "refused" in found["tier"]


IMPORTS = {
    "never run": "if 0:\n    import unittest.__main__\n",
    "from": "if 0:\n    from unittest import __main__\n",
    "run": "try:\n    import unittest.__main__\nexcept BaseException:\n    pass\n",
    "in a function": "def other():\n    import unittest.__main__, test.support, idlelib.run\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_a_candidate_names_is_imported_before_the_lock(place: str, tmp_path: Path) -> None:
    """``unittest.__main__`` runs every test file of the folder that the judge was started in."""
    tmp_path.chmod(0o777)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(0o755)
    mark = tmp_path / "ran"
    (tmp_path / "test_trap.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    programs = [program(source + HONEST) for source in IMPORTS.values()]
    found = ordinary_user.judge(programs, cwd=tmp_path, **PLACES[place])
    assert found["results"] == ["passed"] * len(IMPORTS)
    assert not mark.exists()


BOMB = """
import threading, time
threading.stack_size(1 << 15)
def solve(x):
    while True:
        try:
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
        except RuntimeError:
            time.sleep(0.01)
"""
POOL = """
from concurrent.futures import ThreadPoolExecutor
import time
def solve(x):
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(time.sleep, [0.2] * 32))
    return x + 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_thread_bomb_takes_nothing_from_its_neighbours(place: str) -> None:
    sources = [BOMB, POOL, BOMB, POOL, POOL, HONEST]
    found = in_tier(
        place,
        ordinary_user.judge(
            [program(source) for source in sources], workers=3, limits={"timeout_s": 3.0}, **PLACES[place]
        ),
    )
    results = found["results"]
    assert [results[index] for index in (1, 3, 4, 5)] == ["passed"] * 4
    assert "passed" not in (results[0], results[2])
    if place != "namespaces":
        assert {results[0], results[2]} == {"failed: more than 64 threads"}


CALLS = """
import ctypes
libc = ctypes.CDLL(None)
def solve(x):
    done = []
    for number in (<shared memory>, <semaphore>, <messages>):
        done += [libc.shmctl(number, 0, None), libc.msgctl(number, 0, None), libc.semctl(number, 0, 0, 0)]
    done += [libc.mq_unlink(b"<queue>"), libc.shmget(0, 4096, 0o1600), libc.semget(0, 1, 0o1600),
             libc.msgget(0, 0o1600), libc.inotify_init(), libc.inotify_init1(0), libc.fanotify_init(0, 0)]
    return set(done)
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_objects_of_the_machine_are_out_of_reach(place: str) -> None:
    refused = program(CALLS, "def check(candidate):\n    assert candidate(1) == {-1}, candidate(1)\n")
    found = ordinary_user.judge([refused], objects=True, **PLACES[place])
    assert found["results"] == ["passed"]
    assert found["lost"] == []


NAMES = """
import ctypes, os, platform, socket
def solve(host):
    buffer = ctypes.create_string_buffer(390)
    ctypes.CDLL(None).uname(buffer)
    other = ctypes.create_string_buffer(65)
    ctypes.CDLL(None).gethostname(other, 65)
    found = [buffer.raw.decode("latin-1"), other.raw.decode("latin-1"), platform.node(), socket.gethostname()]
    found += list(os.uname()) + list(platform.uname()) + list(os.environ.values())
    for path in ("/etc/hostname", "/proc/sys/kernel/hostname", "/etc/hosts", "/proc/self/environ"):
        try:
            found.append(open(path, encoding="latin-1").read())
        except OSError:
            pass
    return [platform.node(), socket.gethostname(), any(host in text for text in found)]
"""


@pytest.mark.slow
@pytest.mark.parametrize("root", [True, False])
@pytest.mark.parametrize("place", PLACES)
def test_the_hosts_name_is_hidden(place: str, root: bool) -> None:
    if root and os.geteuid() != 0:
        pytest.skip("needs root")
    test = f"def check(candidate):\n    found = candidate({platform.node()!r})\n"
    test += "    assert found == ['sandbox', 'sandbox', False], found\n"
    found = ordinary_user.judge([program(NAMES, test)], root=root, **PLACES[place])
    assert found["results"] == ["passed"], json.dumps(found)
