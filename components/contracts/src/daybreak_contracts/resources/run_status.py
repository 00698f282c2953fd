"""What the operator says of a TrainingRun."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from daybreak_contracts.resources.fields import Count, DecimalText, Resource, Text
from daybreak_contracts.resources.metadata import Condition


class StepStatus(Resource):
    """One step of the run."""

    name: Text
    state: Literal["Pending", "Running", "Succeeded", "Failed", "Skipped"]
    attempt: Count = 0
    start_time: Text | None = None
    completion_time: Text | None = None
    uri: Annotated[str, Field(max_length=1024)] = ""
    message: Annotated[str, Field(max_length=4096)] = ""


class MetricStatus(Resource):
    """One number worth showing, for example ``loss`` or ``humaneval/pass@1``."""

    name: Text
    value: DecimalText


class ModelStatus(Resource):
    """The published model: set when it was evaluated and passed its gates."""

    uri: Annotated[str, Field(max_length=1024)]
    digest: Text


class TrainingRunStatus(Resource):
    """Written by the operator only."""

    observed_generation: int | None = None
    start_time: Text | None = None
    completion_time: Text | None = None
    snapshot: Text | None = None
    """Digest of the spec that runs."""
    step: Text | None = None
    progress_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    estimated_seconds_left: Annotated[int, Field(ge=0)] | None = None
    restarts: Count | None = None
    counted_restarts: Count | None = None
    attempt: Count | None = None
    steps: Annotated[tuple[StepStatus, ...], Field(max_length=16)] = ()
    metrics: Annotated[tuple[MetricStatus, ...], Field(max_length=64)] = ()
    model: ModelStatus | None = None
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
