"""Which model the spec asks for now: named by itself, or published by a TrainingRun.

Owns what is said while there is none yet. A run that is gone takes nothing away: what it named stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from daybreak_contracts import names
from daybreak_contracts.resources.deployment import DeployedModel
from daybreak_operator.core import status_codec
from daybreak_operator.core.conditions import find, is_true
from daybreak_operator.core.deployment.state import EngineRuntime
from daybreak_operator.core.plan import Finding, Object

NO_MODEL_EVER = ("RunFailed", "RunMakesNoModel")
"""Reasons to wait for a model that will never come: a person names another run."""


@dataclass(frozen=True)
class TargetModel:
    """A model that may serve."""

    digest: str
    """Without its algorithm in front."""
    uri: str
    source: str
    """What named it."""
    runtime: EngineRuntime | None = None


@dataclass(frozen=True)
class AwaitedModel:
    """No model yet, and why."""

    finding: Finding
    source: str


def bare(digest: str) -> str:
    """Return a digest without its algorithm: ``sha256:ab`` and ``ab`` are one model."""
    return digest.rpartition(":")[2]


def source_of(model: DeployedModel) -> str:
    """Return what names the model, for people and for comparing."""
    if model.training_run_ref is None:
        return "spec.model.uri"
    return f"{names.KIND_RUN}/{model.training_run_ref.name}"


def target_of(model: DeployedModel, followed: Object | None) -> TargetModel | AwaitedModel:
    """Return the model to serve; ``followed`` is the run that the spec names, None when there is none."""
    source = source_of(model)
    if model.training_run_ref is None:
        return TargetModel(bare(model.digest or ""), model.uri or "", source)
    run = model.training_run_ref.name
    if followed is None:
        return AwaitedModel(Finding("WaitingForRun", f"TrainingRun {run} does not exist yet"), source)
    status = followed.get("status") or {}
    published = status.get("model")
    published = published if isinstance(published, Mapping) else {}
    if published.get("uri") and published.get("digest"):
        return TargetModel(bare(published["digest"]), published["uri"], source)
    conditions = status_codec.conditions(status, status_codec.VERDICT)
    if is_true(conditions, "Finished"):
        verdict = find(conditions, "Succeeded") or {}
        if verdict.get("status") == "True":
            said = f"TrainingRun {run} makes data alone, and no model: name another run"
            return AwaitedModel(Finding("RunMakesNoModel", said), source)
        why = verdict.get("message") or "it says no reason"
        return AwaitedModel(Finding("RunFailed", f"TrainingRun {run} ended without a model: {why}"), source)
    return AwaitedModel(
        Finding("WaitingForModel", f"TrainingRun {run} has not published its model yet"), source
    )
