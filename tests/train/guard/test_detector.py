"""What is out of line: planted curves in, findings out; and the state comes back bit for bit."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_train.guard.detector import Detector, DetectorState, Finding, Reading

DETECTOR = Detector(6.0, 128)


def curve(steps: int, sigma: float = 0.01, seed: int = 0) -> list[Reading]:
    """Return a loss that falls from 6 to 2 with noise, and its gradient norms."""
    draw = np.random.default_rng(seed)
    losses = [(2.0 + 4.0 * math.exp(-step / 30)) * math.exp(draw.normal(0, sigma)) for step in range(steps)]
    return [Reading(loss, 0.5 * math.exp(draw.normal(0, 0.1))) for loss in losses]


def after(readings: list[Reading]) -> DetectorState:
    state = DetectorState()
    for reading in readings:
        state = DETECTOR.learn(state, reading)
    return state


@pytest.mark.parametrize(
    ("at", "loss_times", "grad_times", "finding"),
    [
        pytest.param(200, 1.0, 1.0, None, id="a step like the others"),
        pytest.param(200, 0.6, 1.0, None, id="a loss that falls is no spike"),
        pytest.param(200, 1.2, 1.0, "LossSpike", id="the loss alone"),
        pytest.param(200, 1.12, 2.0, "LossSpike", id="a little of the loss with the gradient"),
        pytest.param(200, 1.05, 2.0, None, id="too little to matter"),
        pytest.param(200, 1.0, 6.0, "GradientSpike", id="the gradient alone"),
        pytest.param(200, 1.0, 3.0, None, id="a gradient that clipping takes care of"),
        pytest.param(200, float("nan"), 1.0, "NonFinite", id="a loss that is no number"),
        pytest.param(200, 1.0, float("inf"), "NonFinite", id="a gradient without bound"),
        pytest.param(35, 1.4, 3.0, "LossSpike", id="early, while the loss falls fast"),
        pytest.param(10, 1.4, 3.0, None, id="before anything is known"),
        pytest.param(0, float("nan"), 1.0, "NonFinite", id="no number at the first step"),
    ],
)
def test_a_step_is_judged_by_those_before_it(
    at: int, loss_times: float, grad_times: float, finding: Finding | None
) -> None:
    readings = curve(at + 1)
    bad = Reading(readings[at].loss * loss_times, readings[at].grad_norm * grad_times)
    assert DETECTOR.judge(after(readings[:at]), bad).finding == finding


def test_a_loss_that_creeps_up_is_told() -> None:
    state, found = after(curve(300)), set()
    for step, reading in enumerate(curve(400, seed=1)[100:]):
        creeping = Reading(2.0 * 1.002**step * reading.loss / 2.0, reading.grad_norm)
        found.add(DETECTOR.judge(state, creeping).finding)
        state = DETECTOR.learn(state, creeping)
    assert found == {None, "LossRising"}


def test_no_alarm_in_clean_curves() -> None:
    for seed, sigma in ((1, 0.003), (2, 0.01), (3, 0.03)):
        state = DetectorState()
        for reading in curve(600, sigma, seed):
            assert DETECTOR.judge(state, reading).finding is None
            state = DETECTOR.learn(state, reading)


@given(st.lists(st.tuples(st.floats(0, 1e30), st.floats(0, 1e30)), max_size=60), st.integers(0, 60))
def test_a_state_from_its_json_judges_and_learns_the_same(
    values: list[tuple[float, float]], cut: int
) -> None:
    readings = [Reading(*pair) for pair in values]
    whole = after(readings)
    resumed = DetectorState.from_json(json.loads(json.dumps(after(readings[:cut]).to_json())))
    for reading in readings[cut:]:
        DETECTOR.judge(resumed, reading)
        resumed = DETECTOR.learn(resumed, reading)
    assert resumed == whole
