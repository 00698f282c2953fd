"""When a run is over and with what verdict: gates, deadline, failures.

Owns the verdict and its words; ``afterwards`` owns what happens to a run that is over.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from daybreak_contracts import gates, names
from daybreak_contracts.resources.run_status import MetricStatus, ModelStatus, TrainingRunStatus
from daybreak_contracts.steps import EvaluateResult, Score
from daybreak_operator.core.parts import part
from daybreak_operator.core.plan import Finding, Object
from daybreak_operator.core.times import instant
from daybreak_operator.core.training.context import RunContext
from daybreak_operator.core.training.stages import queueing, results
from daybreak_operator.core.training.stages.teardown import DEADLINE_EXCEEDED
from daybreak_operator.core.training.status import decimals, step_table

COMPLETED = Finding("Completed", "The model is trained, evaluated and published.")
DATA_COMPLETED = Finding("DataCompleted", "Tokenizer and shards are made; the run names no model to train.")


def its_time_is_over(context: RunContext) -> Finding | None:
    """``runPolicy.activeDeadlineSeconds`` since ``startTime`` have gone by, time in a queue left out."""
    limit, left = context.run.spec.run_policy.active_deadline_seconds, _seconds_left(context)
    if left is None or left > 0:
        return None
    return _took_longer_than(limit)


def plain_deadline(run: Object, status: TrainingRunStatus, now: datetime) -> Finding | None:
    """Return the same of a run whose spec does not hold, by the number as it stands there."""
    limit = part(part(run, "spec"), "runPolicy").get("activeDeadlineSeconds")
    began = instant(status.start_time)
    if not isinstance(limit, int) or isinstance(limit, bool) or began is None:
        return None
    if (now - began).total_seconds() - (status.queued_seconds or 0) < limit:
        return None
    return _took_longer_than(limit)


def _took_longer_than(limit: int | None) -> Finding:
    return Finding(DEADLINE_EXCEEDED, f"the run took longer than runPolicy.activeDeadlineSeconds: {limit} s")


def seconds_to_deadline(context: RunContext) -> float | None:
    """Return the seconds until the run's deadline; None when it has none."""
    left = _seconds_left(context)
    return None if left is None else max(1.0, left)


def _seconds_left(context: RunContext) -> float | None:
    limit, began = context.run.spec.run_policy.active_deadline_seconds, instant(context.status.start_time)
    if limit is None or began is None:
        return None
    queued = queueing.time_in_queue(context).until(context.moment)
    return limit - ((context.moment - began).total_seconds() - queued)


def scores(context: RunContext, steps: step_table.Steps) -> tuple[Score, ...]:
    """Return the scores that the evaluation reported; those in the status when its results were deleted."""
    number = step_table.attempt(steps, names.STAGE_MODEL)
    report = results.report_of(context, names.STAGE_MODEL, number)
    found = report.results.get(names.STEP_EVALUATE)
    if isinstance(found, EvaluateResult):
        return found.scores
    known = [metric for metric in context.status.metrics if "/" in metric.name]
    return tuple(
        Score(metric=metric.name, value=float(Decimal(metric.value)), low=0.0, high=1.0, num_tasks=0)
        for metric in known
    )


def score_metrics(context: RunContext, found: tuple[Score, ...]) -> tuple[MetricStatus, ...]:
    """Return scores as a status shows them, those that a gate is on first: a status has no room for all languages."""
    gated = {gate.metric for gate in context.run.spec.evaluation.gates}
    ordered = sorted(found, key=lambda score: score.metric not in gated)
    texts = [(score.metric[:256], decimals.exact(score.value)) for score in ordered]
    return tuple(MetricStatus(name=name, value=text) for name, text in texts if text is not None)


def a_gate_names_no_score(context: RunContext, found: tuple[Score, ...]) -> Finding | None:
    """A gate, as it is now, is on a score that the evaluation did not report: the run waits for another gate."""
    wanted = context.run.spec.evaluation.gates
    sentences = gates.unknown_gates(wanted, [score.metric for score in found])
    return Finding("UnknownMetric", "; ".join(sentences)) if sentences else None


def a_gate_is_not_kept(context: RunContext, found: tuple[Score, ...]) -> Finding | None:
    """A score is below its floor or above its ceiling, by the gates as they are now."""
    sentences = gates.failed_gates(context.run.spec.evaluation.gates, found)
    return Finding("GateFailed", "; ".join(sentences)) if sentences else None


def completed(steps: step_table.Steps) -> Finding:
    """Return what a run has made that ended well."""
    return DATA_COMPLETED if published(steps) is None else COMPLETED


def published(steps: step_table.Steps) -> ModelStatus | None:
    """Return the model that export made; None of a run that makes data alone."""
    made = step_table.results(steps).get(names.STEP_EXPORT)
    return None if made is None else ModelStatus(uri=made.uri, digest=made.digest)
