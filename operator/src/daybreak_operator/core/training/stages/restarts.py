"""What a failed attempt leads to: the run fails, or the stage begins anew under the next attempt's name.

Owns counting and back-off. One budget serves the whole run: ``countedRestarts`` of all stages together.

Back-off as Kubernetes' Job controller has it (10 s, doubled, at most 6 minutes), but the first restart comes at
once, and an attempt that lasted ten minutes owes nothing to the ones before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from daybreak_operator.core.plan import Finding
from daybreak_operator.core.times import instant, timestamp
from daybreak_operator.core.training.context import RunContext, StageOutcome
from daybreak_operator.core.training.status import step_table

Action = Literal["Restart", "RestartFree", "Fail"]
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 360.0
LASTED_S = 600.0
SOON_S = 1.0
MAX_MESSAGE = 2000


@dataclass(frozen=True)
class FailureVerdict:
    """An attempt failed: why, and what follows."""

    action: Action
    finding: Finding


def fails(finding: Finding) -> FailureVerdict:
    """Return the verdict that ends a run."""
    return FailureVerdict("Fail", finding)


def pause_s(restarts: int, lasted_s: float) -> float:
    """Return the seconds to wait before the next attempt, after this many restarts and an attempt of that length.

    >>> [pause_s(restarts, lasted_s=5) for restarts in (0, 1, 2, 3, 9)]
    [0.0, 10.0, 20.0, 40.0, 360.0]
    >>> pause_s(9, lasted_s=3600)
    0.0
    """
    if restarts == 0 or lasted_s >= LASTED_S:
        return 0.0
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(restarts - 1, 20)))


def after(context: RunContext, stage: str, steps: step_table.Steps, verdict: FailureVerdict) -> StageOutcome:
    """Return what follows a failed attempt of a stage."""
    counted = context.status.counted_restarts or 0
    finding = verdict.finding
    if verdict.action == "Fail":
        return StageOutcome(steps=_failed(steps, stage, finding, context.moment), failed=finding)
    limit = context.run.spec.run_policy.backoff_limit
    if verdict.action == "Restart" and counted >= limit:
        spent = Finding(
            "BackoffLimitExceeded",
            f"{finding.message} (after {counted} of {limit} counted restarts: runPolicy.backoffLimit)",
        )
        return StageOutcome(steps=_failed(steps, stage, spent, context.moment), failed=spent)
    number = step_table.attempt(steps, stage)
    pause = pause_s(context.status.restarts or 0, _lasted_s(context, stage))
    due = context.moment + timedelta(seconds=pause)
    return StageOutcome(
        steps=step_table.renewed(steps, stage, number + 1, due, finding.message),
        restarts=1,
        counted=int(verdict.action == "Restart"),
        waiting=Finding(finding.reason, finding.message[:MAX_MESSAGE]),
        requeue_after_s=max(SOON_S, pause),
    )


def seconds_until_due(context: RunContext, stage: str) -> float:
    """Return how long a stage's newest attempt must still wait for its time; 0 when it may begin."""
    due = instant(step_table.of_stage(context.steps, stage)[0].start_time)
    return max(0.0, (due - context.moment).total_seconds()) if due is not None else 0.0


def _lasted_s(context: RunContext, stage: str) -> float:
    began = [instant(step.start_time) for step in step_table.of_stage(context.steps, stage)]
    times = [time for time in began if time is not None]
    return (context.moment - min(times)).total_seconds() if times else 0.0


def _failed(steps: step_table.Steps, stage: str, finding: Finding, now: datetime) -> step_table.Steps:
    """Return the steps with the one that failed marked; the first unfinished one when none says so itself."""
    own = step_table.of_stage(steps, stage)
    if any(step.state == "Failed" for step in own):
        return steps
    going = next((step for step in own if step.state == "Running"), None)
    waiting = [step for step in own if step.state not in step_table.DONE]
    if going is None and not waiting:
        return steps
    broken = (going or waiting[0]).model_copy(
        update={
            "state": "Failed",
            "completion_time": timestamp(now),
            "message": finding.message[: step_table.MAX_MESSAGE],
        }
    )
    return step_table.replaced(steps, [broken])
