"""A training's plan beside what it took. Pure: owns which numbers are compared and their words."""

from __future__ import annotations

from daybreak_contracts.planning.plan import TrainingPlan
from daybreak_contracts.steps import TrainResult
from daybreak_pipelines import estimate

SAME = ("size", "parameters", "context_length", "nodes", "gpus_per_node", "samples_per_step")
"""What a plan that was kept must have in common with the manifest's."""
PlannedRow = tuple[str, str, str, str]
"""What, as planned, as it was, how far off."""


def rows(plan: TrainingPlan, trained: TrainResult, seconds: float | None) -> list[PlannedRow]:
    """Return the comparison; ``seconds`` of the whole step are None where it found its work done."""
    found = [
        _row("parameters", plan.parameters, trained.num_parameters, "{:,.0f}"),
        _row("training tokens", plan.tokens, trained.tokens, "{:,.0f}"),
        _row("steps", plan.steps, trained.steps, "{:,.0f}"),
    ]
    if plan.seconds_per_step is not None:
        # without a measurement the plan knows no libraries, and they are most of a small model's memory
        used = trained.peak_memory_bytes / 1e9
        found.append(_row("memory of a process, GB", plan.memory_bytes / 1e9, used, "{:,.2f}"))
    if plan.seconds_per_step is not None and trained.steps and trained.tokens_per_second:
        took = trained.tokens / trained.steps / trained.tokens_per_second
        found.append(_row("seconds a step", plan.seconds_per_step.likely, took, "{:,.3f}"))
    if plan.seconds is not None and seconds is not None:
        time = _row("time", plan.seconds.likely, seconds, "{:,.0f}")
        found.append((time[0], estimate.in_words(plan.seconds.likely), estimate.in_words(seconds), time[3]))
    return found


def chosen(kept: TrainingPlan | None, fresh: TrainingPlan) -> TrainingPlan:
    """Return the plan that was kept from before the run, unless the manifest has changed since."""
    if kept is None:
        return fresh
    if fresh.tokens not in (
        None,
        kept.tokens,
    ):  # a length in seconds has tokens only where the speed was measured
        return fresh
    return kept if all(getattr(kept, name) == getattr(fresh, name) for name in SAME) else fresh


def _row(title: str, planned: float | None, was: float, written: str) -> PlannedRow:
    if planned is None:
        return title, "unknown", written.format(was), ""
    off = f"{100 * (was / planned - 1):+.1f} %" if planned else ""
    return title, written.format(planned), written.format(was), off
