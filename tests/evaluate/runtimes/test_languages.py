"""Every language from a task to verdicts, in the sandbox: right answers pass, wrong ones and cheats do not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from daybreak_evaluate.judge.values import FailureKind
from daybreak_evaluate.runtimes.command import command_runtimes
from daybreak_evaluate.runtimes.protocol import Attempt
from tests.evaluate.runtimes.play import LIMITS, Play, judge, plays, whole_task

pytestmark = [
    pytest.mark.needs("compilers"),
    pytest.mark.xdist_group("runtimes"),  # what is left behind would be another's otherwise
]

PLAYS = plays()


@pytest.fixture(params=sorted(PLAYS))
def play(request: pytest.FixtureRequest) -> Play:
    """One language's table."""
    return PLAYS[request.param]


def test_every_declared_language_has_a_table() -> None:
    assert sorted(PLAYS) == sorted(command_runtimes())


def test_right_answers_pass(play: Play) -> None:
    verdicts = judge(play.task, play.right)
    assert {name: verdict.result for name, verdict in verdicts.items() if not verdict.passed} == {}
    assert len(verdicts) == len(play.right)


def test_wrong_answers_do_not_pass(play: Play) -> None:
    verdicts = judge(play.task, play.wrong)
    assert [name for name, verdict in verdicts.items() if verdict.passed] == []
    assert len(verdicts) == len(play.wrong)
    assert verdicts["does not parse"].kind is FailureKind.SYNTAX


def test_no_cheat_passes_and_none_leaves_anything(play: Play) -> None:
    before = _left_behind()
    verdicts = judge(play.task, play.cheats)
    assert [name for name, verdict in verdicts.items() if verdict.passed] == []
    assert len(verdicts) == len(play.cheats)
    deadline = time.monotonic() + 20  # the kernel ends what is in a namespace when it comes to it
    while (left := _left_behind() - before) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == set()


def test_whole_programs_are_judged_by_their_output(play: Play) -> None:
    task = whole_task(play.task.language)
    verdicts = judge(task, {"whole": play.whole, **play.whole_cheats})
    assert [name for name, verdict in verdicts.items() if verdict.passed] == ["whole"]


def _left_behind() -> set[str]:
    """Return processes of the boxes' users, and mounts."""
    users = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if 64620 <= folder.stat().st_uid < 65536:
                    users.add(folder.name)
            except OSError:
                continue
    return users | set(Path("/proc/self/mountinfo").read_text().splitlines())


def test_zero_workers_are_as_many_as_the_machine_carries() -> None:
    task = whole_task("shell")
    attempts = [Attempt(task, PLAYS["shell"].whole)]
    verdicts = list(command_runtimes()["shell"].judge(attempts, LIMITS, 0))
    assert [verdict.passed for _, verdict in verdicts] == [True]


def test_attempts_are_taken_as_places_get_free() -> None:
    task, taken = whole_task("shell"), []

    def attempts() -> Iterator[Attempt]:
        for number in range(1000):
            taken.append(number)
            yield Attempt(task, "#" * 2_000_000 if number == 1 else PLAYS["shell"].whole)

    limits = replace(LIMITS, source_bytes=1_000_000)
    found = dict(islice(command_runtimes()["shell"].judge(attempts(), limits, 1), 3))
    assert {index: verdict.kind for index, verdict in found.items() if not verdict.passed} == {
        1: FailureKind.TOO_LARGE
    }
    assert len(taken) < 10
