"""Limits of time: the candidate's own time counts, the machine's does not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping

import pytest

from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.clock import ProcessTree, SampleClock, Spent, TaskReading, held_up
from daybreak_evaluate.judge.values import Program, SandboxLimits


@pytest.mark.parametrize(
    ("spent", "over", "doubtful"),
    [
        pytest.param(Spent(1.0, 0.9, 0.0), False, False, id="busy for a second of three"),
        pytest.param(Spent(3.1, 3.0, 0.0), True, False, id="busy for all of it"),
        pytest.param(Spent(18.0, 2.9, 15.0), False, False, id="busy for less on a machine shared by six"),
        pytest.param(Spent(18.0, 3.0, 15.0), True, False, id="busy for all of it on a machine shared by six"),
        pytest.param(Spent(3.5, 0.0, 0.0), False, False, id="asleep, a little over"),
        pytest.param(Spent(4.1, 0.0, 0.0), True, False, id="asleep for longer than that"),
        pytest.param(
            Spent(8.0, 0.5, 2.0), True, True, id="asleep or held up, on a busy machine: judged again"
        ),
        pytest.param(
            Spent(8.0, 0.5, None), False, False, id="kernel does not tell, the limit is four times as long"
        ),
        pytest.param(Spent(17.0, 0.5, None), True, True, id="kernel does not tell, over: judged again"),
        pytest.param(Spent(71.0, 0.5, 70.0), True, True, id="the machine stands still"),
    ],
)
def test_limit_of_three_seconds(spent: Spent, over: bool, doubtful: bool) -> None:
    assert spent.is_over(3.0) is over
    assert (spent.is_over(3.0) and spent.is_doubtful(3.0)) is doubtful


def reading(
    at_s: float, waits: Mapping[int, float | None], cpu_s: float = 0.0, *, wants: bool = False
) -> TaskReading:
    return TaskReading(at_s, cpu_s, waits, wants)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(reading(0, {1: 0.0}), reading(2, {1: 0.0}, 2.0), 0.0, id="ran all the time"),
        pytest.param(reading(0, {1: 0.0}), reading(2, {1: 1.5}, 0.5), 1.5, id="one task waits for a core"),
        pytest.param(
            reading(0, {1: 0.5, 2: 3.0}), reading(2, {1: 0.5, 2: 4.5}, 0.5), 1.5, id="first in join, its thread waits"
        ),
        pytest.param(
            reading(0, {1: 0.0, 2: 0.0}), reading(2, {1: 2.0, 2: 2.0}), 2.0, id="two that wait at once count once"
        ),
        pytest.param(
            reading(0, {1: 0.0, 2: 0.0}), reading(2, {1: 0.5, 2: 0.5}), 1.0, id="two that wait one after the other"
        ),
        pytest.param(reading(0, {1: 0.0}), reading(2, {1: 0.0, 2: 1.0}), 1.0, id="a thread that began in between"),
        pytest.param(reading(0, {1: 0.0, 2: 5.0}), reading(2, {1: 0.5}), 0.5, id="a thread that ended, nobody waits"),
        pytest.param(
            reading(0, {1: 0.0, 2: 0.0}, 1.0), reading(2, {1: 0.0, 3: 0.1}, 1.5, wants=True), 1.5,
            id="threads come and go, one wants a core: what nobody ran is waiting",
        ),
        pytest.param(
            reading(0, {1: 0.0, 2: 0.0}), reading(2, {1: 0.0, 3: 0.0}), 0.0, id="threads come and go, all asleep"
        ),
        pytest.param(
            reading(0, {1: 0.0}), reading(2, {1: 0.0}, 0.1, wants=True), 0.0, id="one task alone: the kernel is right"
        ),
        pytest.param(reading(0, {1: None}), reading(2, {1: None}), None, id="the kernel does not say"),
        pytest.param(reading(0, {1: 0.0}), reading(2, {1: 0.0, 2: None}), None, id="nor of a new thread"),
        pytest.param(reading(0, {1: 1.0}), reading(2, {}), 0.0, id="all are gone"),
        pytest.param(reading(5, {1: 1.0}), reading(4, {1: 2.0}), 0.0, id="a clock that goes back"),
        pytest.param(reading(0, {1: 2.0}), reading(2, {1: 1.0}), 0.0, id="a task number that is used again"),
    ],
)  # fmt: skip
def test_time_held_up_between_two_looks(
    before: TaskReading, after: TaskReading, expected: float | None
) -> None:
    assert held_up(before, after) == (None if expected is None else pytest.approx(expected))


@pytest.mark.slow
def test_time_of_child_processes_counts_and_stays_when_they_have_ended() -> None:
    spin = "import time\nwhile time.process_time() < 0.3: pass\ninput()"
    child = subprocess.Popen([sys.executable, "-c", spin], stdin=subprocess.PIPE)
    assert child.stdin is not None
    tree = ProcessTree(os.getpid())
    tree.look()
    own_s = time.process_time()
    while tree.cpu_s < own_s + 0.3 and child.poll() is None:
        time.sleep(0.05)
        own_s = time.process_time()
        tree.look()
    before_s = tree.cpu_s
    child.communicate(b"\n")
    tree.look()
    assert tree.cpu_s >= before_s >= own_s + 0.3


def test_the_clock_counts_threads() -> None:
    clock = SampleClock(os.getppid())
    assert not clock.started
    clock.watch(os.getpid())
    assert clock.started
    wake = threading.Event()
    threads = [threading.Thread(target=wake.wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert clock.read(time.monotonic()).num_tasks >= 6
    wake.set()
    for thread in threads:
        thread.join()


WORK = "import time\ndef spin(seconds):\n    end = time.{clock}() + seconds\n    while time.{clock}() < end: pass\n"
THREADS = {
    "in the first thread": WORK.format(clock="thread_time") + "def work():\n    spin(1)\n    return 1\n",
    "in a thread": WORK.format(clock="thread_time")
    + "import threading\ndef work():\n    thread = threading.Thread(target=spin, args=(1,))\n"
    "    thread.start()\n    thread.join()\n    return 1\n",
    "in a pool": WORK.format(clock="thread_time")
    + "from concurrent.futures import ThreadPoolExecutor\ndef work():\n"
    "    with ThreadPoolExecutor(1) as pool:\n        pool.submit(spin, 1).result()\n    return 1\n",
    "in many threads, one after the other": WORK.format(clock="thread_time")
    + "import threading\ndef work():\n    for _ in range(20):\n"
    "        thread = threading.Thread(target=spin, args=(0.05,))\n        thread.start()\n        thread.join()\n"
    "    return 1\n",
    "in ten threads at once": WORK.format(clock="thread_time") + "import threading\ndef work():\n"
    "    threads = [threading.Thread(target=spin, args=(0.1,)) for _ in range(10)]\n"
    "    for thread in threads: thread.start()\n    for thread in threads: thread.join()\n    return 1\n",
}


@pytest.fixture
def crowded_machine() -> Iterator[None]:
    """Five endless loops for each core, of usual priority, for at most five minutes."""
    loop = "import time\nend = time.monotonic() + 300\nwhile time.monotonic() < end: pass"
    loops = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(5 * len(os.sched_getaffinity(0)))]
    yield
    for process in loops:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("without", [(), ("namespaces",)])
def test_threads_get_their_time_on_a_crowded_machine(crowded_machine: None, without: tuple[str, ...]) -> None:
    """A second of work, a limit of three: whichever thread does it. Sleeping still costs what it costs."""
    asleep = (
        "import time, threading\ndef work():\n    thread = threading.Thread(target=time.sleep, args=(600,))\n"
    )
    sources = [*THREADS.values(), asleep + "    thread.start()\n    thread.join()\n"]
    programs = [Program(source, "work", "", "def check(c):\n    assert c() == 1\n") for source in sources]
    with Judge(SandboxLimits(timeout_s=3.0), workers=3, without=without) as judge:
        verdicts = dict(judge.judge(programs))
    found = {name: verdicts[index].result for index, name in enumerate([*THREADS, "asleep"])}
    assert found == {**dict.fromkeys(THREADS, "passed"), "asleep": "timed out"}
