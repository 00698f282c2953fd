"""What a stage's pods reported: results, errors and progress, from the ConfigMap of one attempt.

Owns the reading; whatever cannot be read becomes an error that says so. Believes nothing else of a step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from pydantic import ValidationError

from daybreak_contracts import errors, names, result_reporter
from daybreak_contracts.manifests.problems import path_text
from daybreak_contracts.resources.run_status import StepStatus
from daybreak_contracts.steps import RESULT_TYPES, StepResult
from daybreak_operator.core.times import timestamp
from daybreak_operator.core.training.context import STAGE_STEPS, RunContext
from daybreak_operator.core.training.status import step_table

MAX_URI, MAX_DIGEST = 1024, 128
"""As in the status of a step."""
StepError = errors.DaybreakError | RuntimeError


@dataclass(frozen=True)
class StageReport:
    """What one attempt of a stage reported so far."""

    results: Mapping[str, StepResult] = field(default_factory=dict)
    errors: Mapping[str, StepError] = field(default_factory=dict)
    step: str = ""
    """The step that reported progress last."""
    activity: str = ""
    share: float = 0.0
    updated: float | None = None
    """Unix time of that progress."""


def report_of(context: RunContext, stage: str, attempt: int) -> StageReport:
    """Return what an attempt reported; nothing when its ConfigMap is not there."""
    wanted = names.stage_child(context.name, stage, attempt)
    found = context.config_map(stage, wanted)
    return read(found.data, STAGE_STEPS[stage]) if found is not None else StageReport()


def read(data: Mapping[str, str], steps: tuple[str, ...]) -> StageReport:
    """Return what a results ConfigMap's data says about these steps."""
    results: dict[str, StepResult] = {}
    failures: dict[str, StepError] = {}
    for step in steps:
        text = data.get(result_reporter.key_of(step))
        if text is None:
            continue
        value = _reported(step, text)
        if isinstance(value, StepResult):
            results[step] = value
        else:
            failures[step] = value
    state = _progress(data.get(result_reporter.PROGRESS_KEY))
    total, done = _number(state.get("total")) or 0.0, _number(state.get("done")) or 0.0
    return StageReport(
        results,
        failures,
        step=str(state.get("step", "")),
        activity=str(state.get("activity", ""))[:200],
        share=min(1.0, max(0.0, done / total)) if total > 0 else 0.0,
        updated=_number(state.get("updated")),
    )


def _reported(step: str, text: str) -> StepResult | StepError:
    try:
        document = json.loads(text)
        if "error" in document:
            return errors.read(document["error"])
        result = RESULT_TYPES[step].model_validate(document["result"])
        if not 0 < len(result.uri) <= MAX_URI or len(result.digest) > MAX_DIGEST:
            raise ValueError(f"its uri has {len(result.uri)} characters, its digest {len(result.digest)}")
        return result
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError) as error:
        return RuntimeError(
            f"what step {step} reported cannot be read ({_in_short(error)}): are operator and images of one "
            "release?"
        )


def _in_short(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{path_text(tuple(first['loc']))}: {first['msg']}"
    return f"{type(error).__name__}: {error}"[:200]


def _progress(text: str | None) -> Mapping[str, object]:
    try:
        state = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return state if isinstance(state, dict) else {}


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < 1e18 else None


def taken_in(
    steps: step_table.Steps,
    stage: str,
    report: StageReport,
    now: datetime,
    said: Mapping[str, str] = MappingProxyType({}),
) -> step_table.Steps:
    """Return the steps with what the newest attempt reported; times are those of the pass that saw it.

    ``said`` are messages of steps that ended well.
    """
    changed = []
    for step in step_table.of_stage(steps, stage):
        if step.name in report.results:
            changed.append(_succeeded(step, report.results[step.name], now, said.get(step.name, "")))
        elif step.name in report.errors:
            changed.append(_failed(step, report.errors[step.name], now))
    table = step_table.replaced(steps, changed)
    if report.errors:
        return table  # a stage that failed begins no further step
    waiting = [step for step in step_table.of_stage(table, stage) if step.state not in step_table.DONE]
    if not waiting:
        return table
    going = next((step for step in waiting if step.name == report.step), waiting[0])
    if going.state == "Running":
        return table
    running = going.model_copy(update={"state": "Running", "start_time": timestamp(now), "message": ""})
    return step_table.replaced(table, [running])


def _succeeded(step: StepStatus, result: StepResult, now: datetime, said: str) -> StepStatus:
    if step.state in step_table.DONE and step.digest == result.digest:
        return step
    return step.model_copy(
        update={
            "state": "Skipped" if result.cached else "Succeeded",
            "uri": result.uri,
            "digest": result.digest,
            "completion_time": timestamp(now),
            "start_time": step.start_time or timestamp(now),
            "message": (said or result.remark)[: step_table.MAX_MESSAGE],
        }
    )


def _failed(step: StepStatus, error: StepError, now: datetime) -> StepStatus:
    if step.state == "Failed":
        return step
    return step.model_copy(
        update={
            "state": "Failed",
            "completion_time": timestamp(now),
            "message": str(error)[: step_table.MAX_MESSAGE],
        }
    )
