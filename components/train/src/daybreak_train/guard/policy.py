"""What follows from a finding: go on, drop the update, go back, or stop.

Owns the rules and their bounds as pure functions, and what of them must survive a kill. Every rank decides for itself
from the same values, so all decide alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from daybreak_contracts.resources.training import Guard
from daybreak_train.guard.detector import Detector, DetectorState, Judgement, Reading
from daybreak_train.guard.events import Action, GuardEvent, event_of

NON_FINITE_IN_A_ROW = 3
"""So many, and it is not one bad batch: weights, rate or data are wrong, and each further step is wasted."""
SPIKES_IN_A_ROW = 10
"""So many, and it is a new level, not a spike: a training that drops every update would never end."""
MOST_LEFT_OUT = 64


@dataclass(frozen=True)
class GuardState:
    """What the next decision depends on besides the step itself; part of every checkpoint."""

    detector: DetectorState = field(default_factory=DetectorState)
    non_finite: int = 0
    """Steps in a row that were not finite."""
    spikes: int = 0
    """Steps in a row that were out of line."""
    rising: bool = False
    """Whether it was told that the loss rises."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "detector": self.detector.to_json(),
            "nonFinite": self.non_finite,
            "spikes": self.spikes,
            "rising": self.rising,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> GuardState:
        """Return what ``to_json`` wrote."""
        detector = DetectorState.from_json(stored["detector"])
        return cls(detector, int(stored["nonFinite"]), int(stored["spikes"]), bool(stored["rising"]))


@dataclass(frozen=True)
class _Found:
    step: int
    reading: Reading
    judgement: Judgement


@dataclass(frozen=True)
class Decision:
    """What becomes of a step."""

    state: GuardState
    apply: bool
    """Whether the optimizer may make this step's update."""
    event: GuardEvent | None = None
    """Something new to tell; its samples are not in it yet."""

    @property
    def action(self) -> Action | None:
        """The event's."""
        return self.event.action if self.event is not None else None


@dataclass(frozen=True)
class Past:
    """What was decided before, also in a part of the training that a kill or a rewind undid."""

    events: tuple[GuardEvent, ...] = ()

    @property
    def left_out(self) -> frozenset[int]:
        """Steps whose updates are not made."""
        return frozenset(step for event in self.events for step in event.left_out)

    @property
    def rewinds(self) -> int:
        """How often the training went back."""
        return sum(event.action == "Rewind" for event in self.events)

    @property
    def spikes(self) -> int:
        """How many steps were out of line and finite."""
        return sum(event.finding in {"LossSpike", "GradientSpike"} for event in self.events)

    def at(self, step: int) -> GuardEvent | None:
        """Return what was found at a step."""
        return next((event for event in self.events if event.step == step), None)

    def latest(self, step: int) -> GuardEvent | None:
        """Return the newest event up to a step."""
        return max((event for event in self.events if event.step <= step), key=_step, default=None)

    def trouble_began(self, step: int, window: int) -> int | None:
        """Return the first step of the trouble that the last ``window`` steps before ``step`` saw; None: they saw none.

        A step out of line belongs to the trouble before it when they are less than a window apart.
        """
        began: int | None = None
        for event in sorted(self.events, key=_step, reverse=True):
            if event.step > step:
                continue
            if (step if began is None else began) - event.step >= window:
                break
            began = min((event.step, *event.left_out))
        return began


def _step(event: GuardEvent) -> int:
    return event.step


def detector_of(guard: Guard) -> Detector:
    """Return the detector of a manifest's settings."""
    return Detector(float(guard.threshold), guard.window)


def decide(guard: Guard, past: Past, state: GuardState, step: int, reading: Reading) -> Decision:
    """Return what becomes of a step.

    A step that was decided before stays decided: a fault that does not come again would otherwise make another
    training of the one that is resumed.
    """
    detector = detector_of(guard)
    known = past.at(step)
    if known is not None:
        judgement = Judgement(known.finding)
    elif step in past.left_out:
        return Decision(state, apply=False)
    else:
        judgement = detector.judge(state.detector, reading)
    decision = _decided(guard, past, state, _Found(step, reading, judgement))
    if decision.event is not None and known is not None:
        left_out = step in past.left_out
        return replace(decision, event=None, apply=decision.apply and not left_out)
    return decision


def _decided(guard: Guard, past: Past, state: GuardState, found: _Found) -> Decision:
    match found.judgement.finding:
        case "NonFinite":
            now = replace(state, non_finite=state.non_finite + 1)
            stops = guard.non_finite == "Stop" or now.non_finite >= NON_FINITE_IN_A_ROW
            return _told(now, found, "Stop" if stops else "Skip")
        case "LossSpike" | "GradientSpike":
            return _spike(guard, past, state, found)
        case "LossRising":
            now = _learnt(guard, replace(state, rising=True), found.reading)
            if state.rising:
                return Decision(now, apply=True)
            return _told(now, found, "Alert")
        case None:
            return Decision(_learnt(guard, replace(state, rising=False), found.reading), apply=True)


def _spike(guard: Guard, past: Past, state: GuardState, found: _Found) -> Decision:
    if guard.spike == "Rewind":
        if past.rewinds >= guard.max_rewinds and past.at(found.step) is None:
            return _told(state, found, "Stop")
        return _told(state, found, "Rewind", steps_left_out(found.step, past.rewinds))
    now = replace(state, non_finite=0, spikes=state.spikes + 1)
    if now.spikes >= SPIKES_IN_A_ROW:
        fresh = _learnt(guard, GuardState(), found.reading)
        return _told(fresh, found, "Accept")
    return _told(now, found, guard.spike)


def steps_left_out(step: int, rewinds: int) -> tuple[int, ...]:
    """Return the steps that a rewind leaves out: the one out of line and, the oftener it happens, more before it.

    The batch that shows a spike is not always the one that made it (PaLM, arXiv 2204.02311, section 5.1: restart some
    100 steps before and leave 200 to 500 batches out; the same batches did no harm to another state).

    >>> steps_left_out(30, 0), steps_left_out(30, 1), steps_left_out(1, 3)
    ((29, 30), (27, 28, 29, 30), (1,))
    """
    return tuple(range(max(1, step - min(MOST_LEFT_OUT, 2 << rewinds) + 1), step + 1))


def _told(
    state: GuardState,
    found: _Found,
    action: Action,
    left_out: Sequence[int] = (),
) -> Decision:
    applied = action in {"Alert", "Accept"}
    left = left_out or (() if applied or action == "Stop" else (found.step,))
    return Decision(state, applied, event_of(found.step, found.reading, found.judgement, action, left))


def _learnt(guard: Guard, state: GuardState, reading: Reading) -> GuardState:
    detector = detector_of(guard).learn(state.detector, reading)
    return replace(state, detector=detector, non_finite=0, spikes=0)
