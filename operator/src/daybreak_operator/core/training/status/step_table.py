"""The steps of a run as its status lists them: which stage they belong to, what they handed on, new attempts.

Owns the changes of a step's state; not the reasons for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from daybreak_contracts.resources.run_status import StepStatus
from daybreak_contracts.steps import StepResult
from daybreak_operator.core.times import timestamp
from daybreak_operator.core.training.context import DATA_ALONE, STAGE_STEPS, STAGES

DONE = ("Succeeded", "Skipped")
MAX_MESSAGE = 2000
WARNING = "warning: "
"""Begins the message of a step that ended well with something that a person should know."""
Steps = tuple[StepStatus, ...]


def completed(stored: Iterable[StepStatus], *, makes_model: bool) -> Steps:
    """Return all steps of a run in their order: those stored, Pending ones for the rest, strangers dropped."""
    known = {step.name: step for step in stored}
    stages = STAGES if makes_model else DATA_ALONE
    wanted = [name for stage in stages for name in STAGE_STEPS[stage]]
    return tuple(known.get(name, StepStatus(name=name, state="Pending")) for name in wanted)


def stages(steps: Steps) -> tuple[str, ...]:
    """Return the stages that the run has, in their order."""
    return tuple(stage for stage in STAGES if of_stage(steps, stage))


def of_stage(steps: Steps, stage: str) -> Steps:
    """Return the steps of one stage; none of a stage that the run does not have."""
    return tuple(step for step in steps if step.name in STAGE_STEPS[stage])


def replaced(steps: Steps, changed: Iterable[StepStatus]) -> Steps:
    """Return the steps with some of them changed."""
    new = {step.name: step for step in changed}
    return tuple(new.get(step.name, step) for step in steps)


def is_complete(steps: Steps, stage: str) -> bool:
    """Return whether every step of a stage handed on its artifact."""
    return all(step.state in DONE and step.uri for step in of_stage(steps, stage))


def has_begun(steps: Steps, stage: str) -> bool:
    """Return whether the newest attempt of a stage was started."""
    return any(step.state != "Pending" for step in of_stage(steps, stage))


def attempt(steps: Steps, stage: str) -> int:
    """Return the newest attempt of a stage; 0 before the first, and where the run does not have it."""
    return max((step.attempt for step in of_stage(steps, stage)), default=0)


def current_stage(steps: Steps) -> str | None:
    """Return the first stage that is not complete; None when all are."""
    return next((stage for stage in stages(steps) if not is_complete(steps, stage)), None)


def results(steps: Steps) -> Mapping[str, StepResult]:
    """Return what the ended steps handed on: URI and digest, all that later stages need."""
    return {step.name: StepResult(uri=step.uri, digest=step.digest) for step in steps if step.state in DONE}


def renewed(steps: Steps, stage: str, number: int, due: datetime, message: str = "") -> Steps:
    """Return the steps with a stage set to a new attempt that may begin at ``due``."""
    return replaced(
        steps,
        [
            StepStatus(
                name=step.name,
                state="Pending",
                attempt=number,
                start_time=timestamp(due),
                message=message[:MAX_MESSAGE],
            )
            for step in of_stage(steps, stage)
        ],
    )


def begun(steps: Steps, stage: str, now: datetime) -> Steps:
    """Return the steps with the first of a stage Running."""
    first = next(step for step in of_stage(steps, stage) if step.state not in DONE)
    running = first.model_copy(update={"state": "Running", "start_time": timestamp(now), "message": ""})
    return replaced(steps, [running])
