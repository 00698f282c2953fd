"""How far a run is and how long it will still take, coarsely: a status that changes every second serves nobody.

Owns the arithmetic and when it is taken anew: when the whole percent changed, or after half a minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daybreak_contracts import names
from daybreak_contracts.resources.run_status import MetricStatus, StepStatus
from daybreak_operator.core.times import instant, timestamp
from daybreak_operator.core.training.context import RunContext, StageOutcome
from daybreak_operator.core.training.status import step_table

MEASURE_EVERY_S = 30.0
TYPICAL_SECONDS: Mapping[str, float] = {
    names.STEP_DOCUMENTS: 90,
    names.STEP_XRAY: 20,
    names.STEP_TOKENIZER: 15,
    names.STEP_SHARDS: 25,
    names.STEP_TRAIN: 180,
    names.STEP_EXPORT: 15,
    names.STEP_EVALUATE: 80,
}
"""First-light on two cores, as in docs/benchmarks.md; only their ratios matter once a step has ended."""
OWN_PACE_FROM = 0.05
"""A step is judged by its own pace once this share of it is done."""
MAX_SECONDS_LEFT = 100 * 365 * 86_400
MAX_METRICS = 64
MAX_ACTIVITY = 200


@dataclass(frozen=True)
class Measured:
    """Progress as the status says it."""

    percent: int | None
    seconds_left: int | None
    metrics: tuple[MetricStatus, ...]
    at: str | None
    """When it was taken."""
    is_new: bool


def measure(context: RunContext, outcome: StageOutcome) -> Measured:
    """Return progress; what the status says already, where that is still good enough."""
    expected = _expected(context)
    percent = _percent(outcome, expected)
    old = context.status
    taken = instant(old.measured_time)
    fresh = taken is not None and 0 <= (context.moment - taken).total_seconds() < MEASURE_EVERY_S
    if fresh and percent == old.progress_percent:
        return Measured(
            old.progress_percent, old.estimated_seconds_left, old.metrics, old.measured_time, False
        )
    left = min(MAX_SECONDS_LEFT, max(0.0, _seconds_left(context, outcome, expected)))
    metrics = joined(old.metrics, outcome.metrics)
    same = (percent, _coarse(left), metrics) == (
        old.progress_percent,
        old.estimated_seconds_left,
        old.metrics,
    )
    at = old.measured_time if same else timestamp(context.moment)
    return Measured(percent, _coarse(left), metrics, at, is_new=True)


def joined(old: tuple[MetricStatus, ...], new: tuple[MetricStatus, ...]) -> tuple[MetricStatus, ...]:
    """Return the metrics with new values in their places, new ones behind, at most 64."""
    values = {metric.name: metric for metric in old} | {metric.name: metric for metric in new}
    return tuple(values.values())[:MAX_METRICS]


def _expected(context: RunContext) -> dict[str, float]:
    deadline = context.run.spec.training.deadline_seconds
    known = {names.STEP_TRAIN: float(deadline)} if deadline else {}
    return {**TYPICAL_SECONDS, **known}


def _percent(outcome: StageOutcome, expected: Mapping[str, float]) -> int:
    """Return the whole percent of the run that is done: 100 only when every step is."""
    done = sum(expected[step.name] * _share(step, outcome) for step in outcome.steps)
    return int(100 * done / sum(expected[step.name] for step in outcome.steps) + 1e-9)


def _share(step: StepStatus, outcome: StageOutcome) -> float:
    if step.state in step_table.DONE:
        return 1.0
    return min(0.99, max(0.0, outcome.share)) if step.state == "Running" and outcome.share else 0.0


def _seconds_left(context: RunContext, outcome: StageOutcome, expected: Mapping[str, float]) -> float:
    """Return the seconds until the last step ends.

    The step that goes on is judged by what it says itself, or by its own pace once 5 % of it are done; later ones are
    scaled by how the ended ones went against expectation, within a factor of three either way.
    """
    took = {step.name: _took_s(step) for step in outcome.steps if step.state == "Succeeded"}
    planned = sum(expected[name] for name in took)
    pace = min(3.0, max(1 / 3, sum(took.values()) / planned)) if planned else 1.0
    left = 0.0
    for step in outcome.steps:
        if step.state in step_table.DONE:
            continue
        began = instant(step.start_time)
        elapsed = max(0.0, (context.moment - began).total_seconds()) if began is not None else 0.0
        if step.state != "Running":
            left += expected[step.name] * pace
        elif outcome.seconds_left is not None:
            left += outcome.seconds_left
        elif outcome.share >= OWN_PACE_FROM:
            left += elapsed * (1 - outcome.share) / outcome.share
        else:
            left += max(0.0, expected[step.name] * pace - elapsed)
    return left


def _took_s(step: StepStatus) -> float:
    began, ended = instant(step.start_time), instant(step.completion_time)
    return max(0.0, (ended - began).total_seconds()) if began is not None and ended is not None else 0.0


def _coarse(seconds: float) -> int:
    """Return a duration in steps that a person still reads: 10 s, a minute from ten minutes on.

    >>> _coarse(44), _coarse(700)
    (40, 720)
    """
    unit = 60 if seconds >= 600 else 10
    return round(seconds / unit) * unit
