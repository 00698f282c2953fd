"""What the operator says of a TrainingRun."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from daybreak_contracts.resources.fields import Between, Count, DecimalText, Resource, Text
from daybreak_contracts.resources.metadata import Condition


class StepStatus(Resource):
    """One step of the run."""

    list_keys = ("name",)

    name: Text
    """Name of the step."""
    state: Literal["Pending", "Running", "Succeeded", "Failed", "Skipped"]
    """Where the step stands; Skipped means that its artifact was there already."""
    attempt: Count = 0
    """How often it was started."""
    start_time: Text | None = None
    """When its last attempt began (RFC 3339)."""
    completion_time: Text | None = None
    """When it ended (RFC 3339)."""
    uri: Annotated[str, Field(max_length=1024)] = ""
    """Its artifact."""
    digest: Annotated[str, Field(max_length=128)] = ""
    """Digest of its artifact."""
    message: Annotated[str, Field(max_length=4096)] = ""
    """What it says, above all why it failed."""


class MetricStatus(Resource):
    """One number worth showing."""

    list_keys = ("name",)

    name: Text
    """As ``loss`` or ``humaneval/pass@1``."""
    value: DecimalText
    """Its newest value."""


class ModelStatus(Resource):
    """The published model: set when it was evaluated and passed its gates."""

    uri: Annotated[str, Field(max_length=1024)]
    """The model folder."""
    digest: Text
    """Digest of the folder's bytes."""


class TrainingRunStatus(Resource):
    """Written by the operator only."""

    observed_generation: Annotated[int, Between(0)] | None = None
    """Generation of the spec that this status is about."""
    start_time: Text | None = None
    """When the run began (RFC 3339); from then on its inputs are frozen."""
    completion_time: Text | None = None
    """When the run ended (RFC 3339)."""
    snapshot: Text | None = None
    """Digest of the spec that runs."""
    backend: Text | None = None
    """What runs the run's pipelines: KubeflowPipelines or Job; chosen at the start."""
    launcher: Text | None = None
    """What makes the training pods: PyTorchJob, TrainJob or Job; chosen at the start. Absent for data alone."""
    step: Text | None = None
    """The step that goes on."""
    progress_percent: Annotated[int, Between(0, 100)] | None = None
    """How much of the whole run is done."""
    estimated_seconds_left: Annotated[int, Between(0)] | None = None
    """How long the run will still take."""
    restarts: Count | None = None
    """Restarts of a stage for any reason."""
    counted_restarts: Count | None = None
    """Restarts of any stage that count against `runPolicy.backoffLimit`."""
    attempt: Count | None = None
    """Number of the training job that runs."""
    zone: Text | None = None
    """Zone that training pods are asked for; absent means any."""
    market: Text | None = None
    """Kind of capacity that training pods are asked for; absent means any."""
    queued_seconds: Annotated[int, Between(0)] | None = None
    """For how long a queue (Kueue) held the run's jobs, what goes on left out; no part of `activeDeadlineSeconds`."""
    queued_since: Text | None = None
    """Since when it holds one now (RFC 3339)."""
    measured_time: Text | None = None
    """When progress, the estimate and the metrics were last taken (RFC 3339)."""
    steps: Annotated[tuple[StepStatus, ...], Field(max_length=16)] = ()
    """Each step of the run."""
    metrics: Annotated[tuple[MetricStatus, ...], Field(max_length=64)] = ()
    """Numbers worth showing: loss, tokensPerSecond, mfu, scores."""
    model: ModelStatus | None = None
    """The published model; absent for a run that makes data alone."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    """Succeeded, Finished, DataReady, Trained, Evaluated, CapacityAvailable, Suspended, Reconciling, Stalled; and
    TrainingHealthy once a training tells, QueueIgnored of a run that names a queue, OutputShared where another has its
    output."""
