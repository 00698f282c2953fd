"""Nobody waits for ever: what is said between client, supervisor, zygote and testers, however much it is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts.errors import TransientError
from daybreak_evaluate.judge import client, supervisor
from daybreak_evaluate.judge.channel import Inbox, Outbox, encoded
from daybreak_evaluate.judge.client import Judge
from daybreak_evaluate.judge.values import (
    FailureKind,
    Program,
    SampleVerdict,
    SandboxLimits,
    failed,
    shortened,
)

TEST = "def check(candidate):\n    assert candidate() == 1\n"
RIGHT = "def solve():\n    return 1\n"
FACE = "\N{GRINNING FACE}"
LIMITS = SandboxLimits(timeout_s=20.0)
START = subprocess.Popen


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """Two minutes, then the test is over, whoever waits for whom."""

    def ring(*_: object) -> None:
        raise AssertionError("two minutes without an end")

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def program(source: str) -> Program:
    return Program(source, "solve", "", TEST)


def judged(sources: list[str], workers: int) -> list[SampleVerdict]:
    with Judge(LIMITS, workers=workers) as judge:
        verdicts = dict(judge.judge(program(source) for source in sources))
    return [verdicts[index] for index in range(len(sources))]


BIG = RIGHT + "#" + FACE * 1_000_000 + "\n"
LOUD = {
    "emoji": f"raise ValueError({FACE!r} * 2000)\n",
    "halves of surrogate pairs": "raise ValueError('\\ud83d' * 2000)\n",
    "quotes": "raise ValueError('\"' * 2000)\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("loud", LOUD)
@pytest.mark.parametrize("workers", [8, 16])
def test_big_programs_one_way_and_big_messages_the_other(workers: int, loud: str) -> None:
    """Sixteen messages fill the supervisor's socket while one program of 4 MB fills the client's."""
    sources = [LOUD[loud]] * (2 * workers - 1) + [BIG] + [LOUD[loud]] * workers + [BIG, RIGHT]
    verdicts = judged(sources, workers)
    assert [verdict.passed for verdict in verdicts] == [source in (BIG, RIGHT) for source in sources]


@pytest.mark.slow
def test_a_client_that_takes_its_time_holds_nobody_up() -> None:
    """Verdicts pile up in the supervisor while the caller thinks; programs go on being read and judged."""
    with Judge(LIMITS, workers=8) as judge:
        verdicts = judge.judge([program(LOUD["emoji"])] * 15 + [program(BIG)] * 3 + [program(RIGHT)] * 3)
        first = next(verdicts)
        time.sleep(1.0)
        found = dict([first, *verdicts])
    assert [found[index].passed for index in range(21)] == [False] * 15 + [True] * 6


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("no", "no", id="short"),
        pytest.param("x" * 3000, "x" * 2000, id="two thousand bytes"),
        pytest.param(FACE * 2000, FACE * 500, id="bytes are counted, not characters"),
        pytest.param("x" + FACE * 2000, "x" + FACE * 499, id="no character is cut in two"),
        pytest.param("\ud83d", "\\ud83d", id="half a pair is written as an escape"),
        pytest.param("\ud83d" * 2000, "\\ud83d" * 333 + "\\u", id="escapes count too"),
    ],
)
def test_messages_are_cut_in_bytes(message: str, expected: str) -> None:
    assert shortened(message) == expected
    result = failed(message, FailureKind.EXCEPTION).result
    assert len(result.encode()) <= 2000 + len("failed: ")


@pytest.mark.slow
def test_the_message_that_comes_back_is_text_that_any_reader_takes() -> None:
    [verdict] = judged(["def solve():\n    raise ValueError('\\ud83d' + '\U0001f600' * 5000)\n"], 1)
    assert verdict.result.encode() == b"failed: \\ud83d" + FACE.encode() * 498


def test_an_outbox_never_blocks_and_sends_all_in_the_end() -> None:
    ours, theirs = socket.socketpair()
    outbox, inbox = Outbox(ours), Inbox()
    messages = [{"number": number, "text": FACE * 100_000 + "\ud800"} for number in range(20)]
    for message in messages:
        outbox.put(encoded(message))
    assert not outbox.is_empty
    found = []
    while len(found) < 20:
        outbox.flush()
        found += inbox.feed(theirs.recv(1 << 20))
    assert found == messages and outbox.is_empty
    theirs.close()
    ours.close()


def test_an_outbox_whose_reader_is_gone_gives_up_its_descriptors() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    outbox = Outbox(ours)
    pipe = os.pipe()
    outbox.put(b"order", pipe)
    assert outbox.is_empty
    for descriptor in pipe:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
    ours.close()


def test_a_supervisor_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with Judge(LIMITS, workers=1) as judge:
        monkeypatch.setattr(client, "START_S", -LIMITS.timeout_s * 20 - 9.0)  # patience of one second
        monkeypatch.setattr(client, "STOP_S", 1.0)
        os.kill(judge.pid, signal.SIGSTOP)
        with pytest.raises(TransientError, match="has said nothing for 1 s"):
            list(judge.judge([program(RIGHT)]))
    assert not Path(f"/proc/{judge.pid}").exists()


@pytest.mark.slow
def test_a_zygote_that_stands_still_is_replaced() -> None:
    """It is found out once a candidate is told to end and does not; the sample is judged again."""
    sleeper = "import time\ndef solve():\n    time.sleep(2)\n    return 1\n"
    assert supervisor.KILL_S > 1.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", _impatient)
        with Judge(LIMITS, workers=1) as judge:
            verdicts = judge.judge([program(RIGHT), program(sleeper), program(RIGHT)])
            first = next(verdicts)
            [zygote] = [pid for pid in _children(judge.pid) if b"zygote" in _command(pid)]
            os.kill(zygote, signal.SIGSTOP)
            found = dict([first, *verdicts])
    assert [found[index].result for index in range(3)] == ["passed"] * 3


def _impatient(command: list[str], **settings: Any) -> Any:
    """Start a supervisor that waits for one second where it would for many."""
    line = "supervisor.KILL_S = supervisor.START_S = 1.0; supervisor.main()"
    return START([word.replace("supervisor.main()", line) for word in command], **settings)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
