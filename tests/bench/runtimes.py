"""Other languages than Python: right answers judged per second, and what the tables of cheats come to."""

from __future__ import annotations

import time
from pathlib import Path

from daybreak_evaluate.judge.values import SandboxLimits
from daybreak_evaluate.runtimes.command import command_runtimes
from daybreak_evaluate.runtimes.protocol import Attempt
from tests.bench.row import Row
from tests.evaluate.runtimes.play import Play, plays

NUM_ANSWERS = 24
WORKERS = 2
LIMITS = SandboxLimits(timeout_s=2.0)


def measure() -> list[Row]:
    """Return two rows for each language that works here."""
    rows = []
    for language, play in plays().items():
        found = command_runtimes()[language].probe()
        if found.works:
            rows += [_speed(language, found.version, play), _cheats(language, found.version, play)]
    return rows


def _speed(language: str, version: str, play: Play) -> Row:
    runtime = command_runtimes()[language]
    answer = next(iter(play.right.values()))
    list(runtime.judge([Attempt(play.task, answer)], LIMITS, WORKERS))  # fills the caches
    started = time.monotonic()
    verdicts = dict(runtime.judge([Attempt(play.task, answer)] * NUM_ANSWERS, LIMITS, WORKERS))
    seconds = time.monotonic() - started
    passed = sum(verdict.passed for verdict in verdicts.values())
    return Row(
        f"{language} {version}: right answers judged per second",
        NUM_ANSWERS / seconds,
        "/s",
        "",
        note=f"{passed} of {NUM_ANSWERS} passed; {runtime.isolation}, {WORKERS} at once",
    )


def _cheats(language: str, version: str, play: Play) -> Row:
    runtime = command_runtimes()[language]
    attempts = [Attempt(play.task, answer) for answer in play.cheats.values()]
    before = _mounts()
    verdicts = dict(runtime.judge(attempts, LIMITS, WORKERS))
    passed = [name for index, name in enumerate(play.cheats) if index in verdicts and verdicts[index].passed]
    return Row(
        f"{language} {version}: cheats that pass",
        len(passed),
        f"of {len(attempts)}",
        "0",
        note=f"{len(attempts) - len(verdicts)} without a verdict, {len(_mounts() - before)} mounts left behind",
    )


def _mounts() -> set[str]:
    return set(Path("/proc/self/mountinfo").read_text().splitlines())
