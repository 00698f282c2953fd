"""Boxes: what a command can reach and use, what is kept of it, and that nothing outlives the warden."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from daybreak_contracts.errors import TransientError
from daybreak_evaluate.judge.client import START_S
from daybreak_evaluate.judge.clock import longest_s
from daybreak_evaluate.runtimes.boxes.pool import BoxPool, patience_s
from daybreak_evaluate.runtimes.boxes.streams import KeptOutput, same_output
from daybreak_evaluate.runtimes.boxes.values import (
    TEST_OUT,
    Box,
    BoxLimits,
    BoxStep,
    Job,
    Overrun,
    StepOutcome,
)

pytestmark = [pytest.mark.needs("compilers"), pytest.mark.xdist_group("runtimes")]

Answer = TypeVar("Answer")
BASH, CAT = "/usr/bin/bash", "/usr/bin/cat"
LIMITS = BoxLimits(cpu_s=2, memory_bytes=256 << 20, address_bytes=1 << 30, processes=32)


def script(text: str, **more: object) -> Job:
    """Return a job of one shell script."""
    return Job((BoxStep(Box((BASH, "-c", text), LIMITS, **more)),))  # type: ignore[arg-type]


def run(*jobs: Job) -> list[StepOutcome]:
    """Return the last outcome of each job."""
    with BoxPool([BASH], 2) as pool:
        found = dict(pool.run(jobs))
    return [found[index][-1] for index in range(len(jobs))]


def test_a_box_sees_its_files_and_its_tools_alone() -> None:
    (outcome,) = run(script("echo /* $HOSTNAME; read x < /job/a; echo $x; echo $$", files=(("a", "text\n"),)))
    assert outcome.stdout.split() == [
        *("/dev", "/etc", "/job", "/lib", "/lib64", "/out", "/tmp", "/usr"),
        "sandbox",
        "text",
        "2",
    ]


def test_what_was_built_can_be_read_and_not_changed() -> None:
    build = BoxStep(Box((BASH, "-c", "echo made > /out/x"), LIMITS, builds=True))
    use = BoxStep(Box((BASH, "-c", "read x < /out/x; echo $x; echo y > /out/x"), LIMITS))
    (outcome,) = run(Job((build, use)))
    assert (outcome.stdout, outcome.status) == ("made\n", 1)
    assert "Read-only" in outcome.stderr


def test_the_tests_side_of_equal_names_is_built_once() -> None:
    def job(name: str) -> Job:
        make = f"{CAT} /dev/null; echo 'echo '$RANDOM$RANDOM$RANDOM > /out/program"
        build = BoxStep(Box((BASH, "-c", make), LIMITS, builds=True, out=TEST_OUT))
        answer = BoxStep(Box((BASH, "-c", "echo echo forged > /out/program"), LIMITS, builds=True))
        return Job((build, answer, BoxStep(Box((BASH, "/out/program"), LIMITS, out=TEST_OUT))), name, 1)

    with BoxPool([BASH, CAT], 1) as pool:
        said = [outcomes[-1].stdout for _, outcomes in pool.run([job("a"), job("b"), job("a")])]
    assert said[0] == said[2] != said[1]
    assert "forged" not in "".join(said)


def test_the_secret_can_be_read_once() -> None:
    (outcome,) = run(script("read x; read y; echo $x.$y", secret="abc"))
    assert (outcome.stdout, outcome.secret_seen) == ("abc.\n", True)


@pytest.mark.parametrize("runs", [True, False])
def test_what_a_box_wrote_to_tmp_runs_only_where_it_may(runs: bool) -> None:
    job = script("cp /usr/bin/cat /tmp/x; /tmp/x /job/a", files=(("a", "ran"),), runs_tmp=runs)
    with BoxPool([BASH, CAT, "/usr/bin/cp"], 1) as pool:
        ((_, (outcome,)),) = pool.run([job])
    assert outcome.stdout == ("ran" if runs else "")


@pytest.mark.parametrize(
    ("said", "seen"),
    [("$x\necho end", True), ("$x", False), ("$x$x end", False), ("end", False)],
)
def test_the_secret_counts_with_the_ending_alone(said: str, seen: bool) -> None:
    (outcome,) = run(script(f"read x; echo {said}", secret="abc", ending="end"))
    assert outcome.secret_seen is seen


@pytest.mark.parametrize(
    ("text", "overrun"),
    [
        ("while :; do :; done", Overrun.TIME),
        ("(while :; do :; done) & wait", Overrun.TIME),
        ("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done", Overrun.OUTPUT),
    ],
)
def test_limits_end_a_box(text: str, overrun: Overrun) -> None:
    (outcome,) = run(script(text))
    assert outcome.overrun is overrun


def test_a_fork_bomb_takes_no_processes_from_its_neighbour() -> None:
    bomb = script("f() { f | f & }; f; while :; do :; done")
    honest = script("for i in 1 2 3 4 5 6 7 8; do (:) & done; wait; echo fine")
    outcomes = run(bomb, *[honest] * 6)
    assert [outcome.stdout for outcome in outcomes[1:]] == ["fine\n"] * 6


def test_nothing_outlives_a_warden_that_is_killed() -> None:
    with BoxPool([BASH], 1) as pool:
        assert pool._process is not None
        warden = pool._process.pid
        jobs = pool.run([script("while :; do :; done")] * 2)
        pool._submit(0, script("while :; do :; done"))
        inside = _wait_until(lambda: _boxed_below(warden))
        os.kill(pool._process.pid, signal.SIGKILL)
        with pytest.raises(TransientError, match="run again"):
            next(jobs)
    _wait_until(lambda: not any(_lives(process) for process in inside))


def test_a_warden_that_stands_still_is_told_within_its_bound() -> None:
    with BoxPool([BASH], 1, patience=lambda jobs: 1.0 if list(jobs) else 60.0) as pool:
        assert pool._process is not None
        warden = pool._process.pid
        pool._submit(0, script("while :; do :; done"))
        inside = _wait_until(lambda: _boxed_below(warden))
        os.kill(pool._process.pid, signal.SIGSTOP)
        began = time.monotonic()
        big = "x" * (4 << 20)
        with pytest.raises(TransientError, match="has said nothing for 1 s, run again"):
            list(pool.run([script(f"#{big}")] * 4))
        assert time.monotonic() - began < 20
    assert time.monotonic() - began < 20
    _wait_until(lambda: not any(_lives(process) for process in inside))


def test_the_bound_is_longer_than_the_slowest_job_may_take() -> None:
    long = BoxLimits(cpu_s=60, memory_bytes=1, address_bytes=1, processes=1)
    slow, quick = Box((BASH,), long), Box((BASH,), LIMITS)
    job = Job((BoxStep(quick), BoxStep(quick, slow), BoxStep(slow)))
    assert patience_s([Job((BoxStep(quick),)), job]) == START_S + longest_s(2) + 2 * longest_s(60)
    assert patience_s([]) == START_S


def test_big_programs_and_big_outputs_pass_each_other() -> None:
    big = "\U0001f600" * (1 << 19)
    quiet = BoxStep(Box((CAT, "/dev/null"), LIMITS, files=(("big", big),)))
    loud = BoxStep(Box((CAT, *["/job/big"] * 4), LIMITS, files=(("big", big),)), None, 4 * big)
    with BoxPool([CAT], 8, patience=lambda _: 120.0) as pool:
        found = dict(pool.run([Job((loud,)), Job((quiet,))] * 12))
    assert sorted(found) == list(range(24))
    assert [found[index][-1].as_expected for index in range(24)] == [True] * 24
    assert found[0][-1].stdout == 4 * big


@dataclass(frozen=True)
class _Process:
    """A process by its id and the time it began, for ids come back."""

    pid: int
    parent: int
    began: str


def _process(pid: int) -> _Process | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return _Process(pid, int(fields[1]), fields[19])


def _lives(process: _Process) -> bool:
    found = _process(process.pid)
    return found is not None and found.began == process.began


def _boxed_below(warden: int) -> set[_Process]:
    """Return the processes below one that run in a pid namespace of their own, by the last line of their NSpid."""
    all_of_them = [_process(int(path.name)) for path in Path("/proc").glob("[0-9]*")]
    known = {process.pid: process for process in all_of_them if process is not None}
    found = set()
    for process in known.values():
        at: _Process | None = process
        while at is not None and at.pid != warden:
            at = known.get(at.parent)
        if at is not None and _is_boxed(process.pid):
            found.add(process)
    return found


def _is_boxed(pid: int) -> bool:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("NSpid:") and len(line.split()) > 2 for line in lines)


def _wait_until(condition: Callable[[], Answer]) -> Answer:
    for _ in range(400):
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not come to pass within twenty seconds")


def test_a_long_output_keeps_its_ends_and_a_secret_over_two_pieces() -> None:
    kept = KeptOutput(limit=10, secret=b"SECRET")
    for piece in (b"0123456789abc", b"x" * 100_000, b"SEC", b"RET"):
        kept.add(piece)
    assert kept.secret_seen
    assert kept.text.startswith("0123456789\n...\n")
    assert kept.text.endswith("SECRET")
    assert kept.size == 100_019


@pytest.mark.parametrize(
    ("found", "expected", "same"),
    [
        ("3\n", "3", True),
        ("a  \nb\n\n", "a\nb", True),
        ("a\n\nb", "a\nb", False),
        (" 3", "3", False),
        ("", "\n", True),
        ("33", "3", False),
    ],
)
def test_outputs_are_compared_by_lines(found: str, expected: str, same: bool) -> None:
    assert same_output(found, expected) is same
