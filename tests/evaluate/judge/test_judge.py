"""The judge on the 164 problems, under load, and when it is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daybreak_contracts.errors import TransientError, UserError
from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.values import Program, SampleVerdict, SandboxLimits
from daybreak_evaluate.suites import humaneval

pytestmark = pytest.mark.slow

PROMPT = 'def work(seconds):\n    """Work."""\n'
TEST = "def check(candidate):\n    assert candidate(0.4) == 'done'\n"
WORK = """
import time
def work(seconds):
    while time.process_time() < seconds:
        pass
    return 'done'
"""
WAIT = "import time\ndef work(seconds):\n    time.sleep(1000)\n"


def program(source: str) -> Program:
    return Program(source, "work", PROMPT, TEST)


@pytest.mark.slow
@pytest.mark.parametrize("without", [(), ("namespaces",), ("namespaces", "landlock")])
def test_all_reference_solutions_pass_and_wrong_ones_fail(without: tuple[str, ...]) -> None:
    problems = humaneval.problems()
    assert len(problems) == 164
    wrong = "    return None\n"
    programs = [humaneval.program(problem, problem["canonical_solution"]) for problem in problems.values()]
    programs += [humaneval.program(problem, wrong) for problem in problems.values()]
    with Judge(without=without) as judge:
        verdicts = dict(judge.judge(programs))
    names = [*problems, *(f"{name} wrong" for name in problems)]
    passed = {names[index] for index, verdict in verdicts.items() if verdict.passed}
    assert passed == set(problems)


def test_helpers_of_the_prompt_run_outside_the_candidate() -> None:
    """HumanEval/32 checks poly(coefficients, answer): a candidate may redefine poly, the test calls the prompt's."""
    problem = humaneval.problems()["HumanEval/32"]
    cheat = "    return 0.0\n\ndef poly(xs, x):\n    return 0.0\n"
    with Judge() as judge:
        [(_, verdict)] = judge.judge([humaneval.program(problem, cheat)])
    assert verdict.result == "failed: "


def test_a_program_that_holds_a_thousand_files_can_judge() -> None:
    """Where `select` refuses a descriptor: CI's process, which had run a thousand other tests, found it."""
    with contextlib.ExitStack() as held:
        for _ in range(1100):
            held.enter_context(Path(os.devnull).open())
        with Judge() as judge:
            [(_, verdict)] = judge.judge([program(WORK)])
    assert verdict.passed


@pytest.mark.parametrize("memory", [0, -1, 1 << 20])
def test_a_limit_of_memory_that_no_interpreter_fits_in_is_refused(memory: int) -> None:
    with pytest.raises(UserError, match="memory must be at least 128 MiB"):
        Judge(SandboxLimits(memory_bytes=memory))


IMPORTS = {
    "numpy": "import numpy as np\ndef work(seconds):\n    return 'done' if np.eye(3).sum() == 3 else None\n",
    "sympy": "def work(seconds):\n    import sympy\n    return 'done' if sympy.isprime(7) else None\n",
    "threads": "from concurrent.futures import ThreadPoolExecutor\ndef work(seconds):\n"
    "    with ThreadPoolExecutor(2) as pool:\n        return ''.join(pool.map(str, ['do', 'ne']))\n",
    "asyncio": "import asyncio\nasync def wait():\n    return 'done'\ndef work(seconds):\n"
    "    return asyncio.run(wait())\n",
}


@pytest.mark.parametrize("without", [(), ("namespaces",), ("namespaces", "landlock")])
def test_what_completions_use_now_and_then_can_be_imported(without: tuple[str, ...]) -> None:
    with Judge(SandboxLimits(timeout_s=10.0), without=without) as judge:
        verdicts = dict(judge.judge(program(source) for source in IMPORTS.values()))
    assert {name: verdicts[index].result for index, name in enumerate(IMPORTS)} == dict.fromkeys(
        IMPORTS, "passed"
    )


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """Two endless loops for each core."""
    command = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(command) for _ in range(2 * len(os.sched_getaffinity(0)))]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


@pytest.mark.slow
def test_verdicts_are_the_same_on_a_busy_machine(busy_machine: None) -> None:
    """Each right candidate needs 0.4 s of a 1 s limit, and gets a fraction of a core to do it in."""
    sources = [WORK, WORK, "while True: pass\n", WORK, WORK, WORK]
    with Judge(SandboxLimits(timeout_s=1.0), workers=6) as judge:
        verdicts = dict(judge.judge(program(source) for source in sources))
    assert [verdicts[index].result for index in range(6)] == [
        "passed",
        "passed",
        "timed out",
        *["passed"] * 3,
    ]


def processes_of(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended while we looked
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("without", [(), ("namespaces",)])
def test_a_killed_judge_leaves_nothing(without: tuple[str, ...]) -> None:
    limit = 60.0 + len(without) / 1_000_003
    with (
        pytest.raises(TransientError, match="judge's process is gone"),
        Judge(SandboxLimits(timeout_s=limit), workers=2, without=without) as judge,
    ):
        verdicts = judge.judge([program("")] + [program(WAIT)] * 4)
        assert not next(verdicts)[1].passed
        assert judge.pid in processes_of(str(limit))
        assert wait_until(lambda: len(processes_of(str(limit))) >= 4)
        os.kill(judge.pid, signal.SIGKILL)
        next(verdicts)
    assert wait_until(lambda: processes_of(str(limit)) == []), "processes were left"


def test_a_judge_that_is_left_early_leaves_nothing() -> None:
    limit = 60.000_123
    with Judge(SandboxLimits(timeout_s=limit), workers=2) as judge:
        verdicts = judge.judge([program("")] + [program(WAIT)] * 4)
        next(verdicts)
    assert processes_of(str(limit)) == []


def test_a_killed_nursery_is_replaced_and_its_samples_judged_again() -> None:
    limits = SandboxLimits(timeout_s=30.000_321)
    slow = WORK.replace("process_time() < seconds", "process_time() < 2 * seconds")

    def zygotes() -> list[int]:
        return [
            pid for pid in children_of(judge.pid) if b"zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    with Judge(limits, workers=2) as judge:
        verdicts = judge.judge([program(""), *[program(slow)] * 3])
        found: dict[int, SampleVerdict] = dict([next(verdicts)])
        [zygote] = zygotes()
        os.kill(zygote, signal.SIGKILL)
        found.update(verdicts)
        assert zygotes() != [zygote]
    assert [found[index].passed for index in range(4)] == [False, True, True, True]
