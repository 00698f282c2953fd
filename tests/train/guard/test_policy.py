"""What follows from a finding, how often, and that a decision once made stays made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_contracts.errors import ArtifactError
from daybreak_contracts.resources.training import Guard
from daybreak_train import places
from daybreak_train.guard import record
from daybreak_train.guard.detector import Reading
from daybreak_train.guard.events import GuardEvent
from daybreak_train.guard.policy import (
    Decision,
    GuardState,
    Past,
    decide,
)

CLEAN, SPIKE, NAN = Reading(2.0, 0.5), Reading(4.0, 5.0), Reading(float("nan"), 0.5)
LETTERS = {"c": CLEAN, "s": SPIKE, "n": NAN}


def play(guard: Guard, letters: str, past: Past | None = None) -> tuple[list[Decision], Past]:
    """Play a training of steps; a rewind is not played, what it decides is."""
    past, state, decisions = past or Past(), GuardState(), []
    for step, letter in enumerate("c" * 40 + letters, start=1):
        decision = decide(guard, past, state, step, LETTERS[letter])
        state = decision.state
        if decision.event is not None and decision.action != "Stop":
            past = Past((*past.events, decision.event))
        decisions.append(decision)
    return decisions[40:], past


@pytest.mark.parametrize(
    ("guard", "letters", "actions"),
    [
        pytest.param(Guard(), "cnc", [None, "Skip", None], id="one that is not finite is dropped"),
        pytest.param(Guard(), "nncn", ["Skip", "Skip", None, "Skip"], id="in a row means in a row"),
        pytest.param(Guard(), "nnn", ["Skip", "Skip", "Stop"], id="three in a row stop"),
        pytest.param(Guard(non_finite="Stop"), "n", ["Stop"], id="the first stops when it shall"),
        pytest.param(Guard(), "scs", ["Skip", None, "Skip"], id="a spike is dropped"),
        pytest.param(Guard(spike="Alert"), "sc", ["Alert", None], id="a spike is only told"),
        pytest.param(
            Guard(), "s" * 11, ["Skip"] * 9 + ["Accept", None], id="ten in a row are a new level, not a spike"
        ),
        pytest.param(
            Guard(spike="Rewind", max_rewinds=2),
            "scscs",
            ["Rewind", None, "Rewind", None, "Stop"],
            id="rewinds are bounded",
        ),
        pytest.param(Guard(spike="Rewind", max_rewinds=0), "s", ["Stop"], id="no rewind at all"),
    ],
)
def test_what_follows(guard: Guard, letters: str, actions: list[str | None]) -> None:
    decisions, _ = play(guard, letters)
    assert [decision.action for decision in decisions] == actions
    applied = [decision.apply for decision in decisions]
    assert applied == [action in {None, "Alert", "Accept"} for action in actions]


def test_each_rewind_leaves_more_out() -> None:
    _, past = play(Guard(spike="Rewind"), "s" + "c" * 9 + "s")
    assert [event.left_out for event in past.events] == [(40, 41), (48, 49, 50, 51)]
    assert past.rewinds == 2


@pytest.mark.slow
@given(
    st.text("csn", max_size=30),
    st.sampled_from([Guard(), Guard(spike="Alert"), Guard(spike="Rewind", max_rewinds=100)]),
)
def test_decided_before_is_decided_the_same_again(letters: str, guard: Guard) -> None:
    first, past = play(guard, letters)
    again, unchanged = play(guard, letters, past)
    assert unchanged == past
    if guard.spike != "Rewind":
        assert [(one.apply, one.state) for one in again] == [(one.apply, one.state) for one in first]
    for step, decision in enumerate(again, start=41):
        assert step not in past.left_out or not decision.apply


def test_a_fault_that_does_not_come_again_makes_no_other_training() -> None:
    first, past = play(Guard(), "cnccsc")
    again, _ = play(Guard(), "cccccc", past)
    assert [one.apply for one in again] == [one.apply for one in first]


def event(step: int, *left_out: int) -> GuardEvent:
    decision = decide(Guard(), Past(), GuardState(), step, NAN)
    assert decision.event is not None
    return replace(decision.event, left_out=left_out or (step,), samples=(3, 1, 2))


@pytest.mark.parametrize(
    ("steps", "now", "began"),
    [
        pytest.param([], 100, None, id="nothing happened"),
        pytest.param([50], 100, 50, id="lately"),
        pytest.param([50], 200, None, id="long ago"),
        pytest.param([50, 120], 200, 50, id="one trouble after the other"),
        pytest.param([50, 120], 60, 50, id="what comes later is not known"),
    ],
)
def test_trouble_lasts_until_a_window_is_clean(steps: list[int], now: int, began: int | None) -> None:
    assert Past(tuple(event(step) for step in steps)).trouble_began(now, 128) == began


def test_a_record_comes_back_and_belongs_to_its_run(tmp_path: Path) -> None:
    folder = str(tmp_path)
    past = Past((event(30, 29, 30), event(45)))
    assert record.load(folder, "a" * 64) == Past()
    record.save(folder, "a" * 64, past)
    assert record.load(folder, "a" * 64) == past
    with pytest.raises(ArtifactError, match="not the guard's record of this run"):
        record.load(folder, "b" * 64)
    (tmp_path / places.GUARD).write_text(json.dumps({"format": 1, "run": "a" * 64, "events": [{}]}))
    with pytest.raises(ArtifactError, match="not the guard's record"):
        record.load(folder, "a" * 64)


@pytest.mark.parametrize(
    ("step", "left_out", "fits"),
    [
        pytest.param(28, (), True, id="from before"),
        pytest.param(29, (), False, id="with an update that was left out since"),
        pytest.param(31, (29, 30), True, id="from after, without them"),
        pytest.param(31, (30,), False, id="with one of them"),
    ],
)
def test_a_checkpoint_fits_when_it_left_out_what_has_to_be(
    step: int, left_out: tuple[int, ...], fits: bool
) -> None:
    assert record.fits(Past((event(30, 29, 30),)), step, left_out) == fits


def test_a_sentence_names_step_samples_and_documents() -> None:
    said = replace(event(30), documents=("stdlib/cpython/ast.py",)).sentence
    assert said == (
        "step 30: loss or gradient norm is not finite (loss not finite, gradient norm 0.5); its update was dropped; "
        "samples 3, 1, 2, of stdlib/cpython/ast.py"
    )
