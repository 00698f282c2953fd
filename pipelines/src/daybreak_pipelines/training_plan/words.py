"""A plan as a person reads it on a terminal, and what only a person can add. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_contracts.planning import data_amount
from daybreak_contracts.planning.data_amount import TRAINED_SHARE, bytes_per_token
from daybreak_contracts.planning.duration import Estimate
from daybreak_contracts.planning.plan import TrainingPlan
from daybreak_pipelines import estimate

UNKNOWN_SPEED = "unknown: give --gpu, or --measure some steps on this machine"


def render(name: str, plan: TrainingPlan, deadline: str = "") -> str:
    """Return the plan, one line a fact, and what is wrong with it."""
    rows = facts(plan)
    if deadline:
        rows = {**rows, "for the deadline": deadline}
    width = max(map(len, rows))
    lines = [f"{name}: training plan, before anything runs"]
    lines += [f"  {title:{width}}  {text}" for title, text in rows.items()]
    lines += [f"warning: {text}" for text in plan.warnings]
    lines += [f"error: {text}" for text in plan.errors]
    return "\n".join(lines)


def facts(plan: TrainingPlan) -> Mapping[str, str]:
    """Return what the plan says, title to text."""
    made = ", ".join(f"{title} {_gigabytes(held)}" for title, held in plan.memory.items())
    rows = {
        "model": f"{plan.size}, {plan.parameters:,} parameters, vocabulary {plan.vocabulary_size:,}",
        "hardware": _hardware(plan),
        "training": _length(plan),
        "batch": f"{plan.samples_per_step:,} samples of {plan.context_length:,} tokens: "
        f"{plan.tokens_per_step:,} tokens per step",
        "data": data_in_words(plan),
        "memory per process": f"{_gigabytes(plan.memory_bytes)} ({made})",
        "speed": _speed(plan),
        "time": "unknown" if plan.seconds is None else _range(plan.seconds),
    }
    if plan.cost is not None:
        cost = plan.cost
        rows["cost"] = f"{cost.likely:,.2f} (p10 {cost.low:,.2f}, p90 {cost.high:,.2f})"
    return rows


def _hardware(plan: TrainingPlan) -> str:
    if not plan.gpus_per_node:
        return f"{plan.nodes} CPU node{'s' if plan.nodes > 1 else ''}"
    kind = plan.gpu or "GPU of an unnamed kind"
    return f"{plan.nodes} node{'s' if plan.nodes > 1 else ''} with {plan.gpus_per_node} x {kind}"


def _length(plan: TrainingPlan) -> str:
    if plan.tokens is None or plan.steps is None:
        return "as long as deadlineSeconds lets it"
    return f"{plan.tokens:,} tokens ({plan.tokens_per_parameter:,.1f} per parameter) in {plan.steps:,} steps"


def data_in_words(plan: TrainingPlan) -> str:
    """Return what the data is worth, and how it is known."""
    if plan.data is not None:
        return f"{data_amount.in_words(plan.data)} ({plan.data_origin})"
    if plan.tokens is None:
        return "not counted (git, Parquet): give --tokens"
    least = plan.tokens / data_amount.GOOD_EPOCHS
    code = least * bytes_per_token(plan.vocabulary_size) / data_amount.KEPT_SHARE / TRAINED_SHARE
    return (
        f"not counted (git, Parquet): give --tokens; {least:,.0f} tokens, some {code / 1e9:,.2f} GB of code, "
        f"are enough for {data_amount.GOOD_EPOCHS} epochs"
    )


def _speed(plan: TrainingPlan) -> str:
    if plan.tokens_per_second is None:
        return UNKNOWN_SPEED
    speed = plan.tokens_per_second
    return f"{speed.likely:,.0f} tokens/s ({speed.low:,.0f} to {speed.high:,.0f}; {plan.speed_origin})"


def _range(seconds: Estimate) -> str:
    low, likely, high = map(estimate.in_words, (seconds.low, seconds.likely, seconds.high))
    return f"{likely} (p10 {low}, p90 {high})"


def _gigabytes(value: float) -> str:
    return f"{value / 1e9:,.2f} GB"
