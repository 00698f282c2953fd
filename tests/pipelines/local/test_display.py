"""What a person sees in a log and on a terminal."""

from __future__ import annotations

import io

from daybreak_pipelines.local.display import Bars, Lines, RunState, display_for
from daybreak_pipelines.plan import STEPS


def test_a_log_gets_a_line_when_a_step_starts_and_ends_and_one_a_minute() -> None:
    stream = io.StringIO()
    lines = Lines(stream, STEPS)
    lines.show(RunState(0, current="documents", left_s=100))
    lines.show(RunState(1, current="documents", activity="reading", share=0.1, left_s=99))
    lines.show(RunState(61, current="documents", activity="reading", share=0.5, left_s=50))
    lines.show(RunState(90, done={"documents": 90}, current="xray", left_s=10))
    lines.show(RunState(91, done={"documents": 90, "xray": 1}, cached=frozenset({"xray"})))
    lines.close()
    printed = stream.getvalue().splitlines()
    assert [line.split("] ")[1] for line in printed] == [
        "1/8 Clean documents: starting, about 1 min 40 s left",
        "1/8 Clean documents: 50 % reading, about 50 s left",
        "2/8 Clean documents: done in 1 min 30 s",
        "2/8 X-ray: starting, about 10 s left",
        "2/8 X-ray: nothing changed",
    ]


def test_a_terminal_gets_bars() -> None:
    stream = io.StringIO()
    bars = Bars(stream, STEPS)
    bars.show(RunState(10, done={"documents": 9}, current="xray", activity="counting", share=0.5, left_s=60))
    bars.close()
    assert "Whole run" in stream.getvalue()
    assert "counting" in stream.getvalue()


def test_a_pipe_is_not_a_terminal() -> None:
    assert isinstance(display_for(io.StringIO(), STEPS), Lines)
