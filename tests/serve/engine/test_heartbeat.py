"""An engine that says nothing: at work, idle, or hung."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from daybreak_serve.engine.heartbeat import BEAT_S, HUNG_S, Heartbeat, beaten_at, why_hung
from tests.serve.engine.test_engine import CountingModel, new_engine


def test_a_beat_is_read_and_costs_little(tmp_path: Path) -> None:
    now = [100.0]
    beat = Heartbeat(tmp_path / "beat", lambda: now[0])
    assert beaten_at(tmp_path / "beat") is None
    beat()
    now[0] += BEAT_S / 2
    beat()
    assert beaten_at(tmp_path / "beat") == 100.0
    now[0] += BEAT_S
    beat()
    assert beaten_at(tmp_path / "beat") == now[0]
    assert (tmp_path / "beat").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("answered_s", "beat_s", "said"),
    [
        pytest.param(100.0, 100.0, None, id="at work"),
        pytest.param(100.0, None, None, id="an engine that never beats"),
        pytest.param(100.0, 100.0 - HUNG_S - 1, "engine", id="the engine hangs in a living server"),
        pytest.param(100.0 - HUNG_S - 1, 100.0, "server", id="the server hangs"),
        pytest.param(100.0 - HUNG_S + 1, 100.0 - HUNG_S + 1, None, id="a busy machine"),
    ],
)
def test_a_hang_is_told_apart(answered_s: float, beat_s: float | None, said: str | None) -> None:
    reason = why_hung(100.0, answered_s, beat_s)
    assert (reason is None) == (said is None)
    assert said is None or f"the {said}" in str(reason)


def test_an_idle_engine_beats() -> None:
    beats = []
    engine = new_engine(CountingModel(), beat=lambda: beats.append(time.monotonic()))
    thread = threading.Thread(target=engine.run)
    thread.start()
    deadline = time.monotonic() + 20
    while len(beats) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    engine.close()
    thread.join(10)
    assert len(beats) >= 3
