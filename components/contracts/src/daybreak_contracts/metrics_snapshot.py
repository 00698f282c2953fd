"""What a gateway counts and the operator decides by: ``GET /snapshot`` of every gateway pod, on its metrics port.

Counters rise from the start of the process; the operator takes differences. ``started`` tells a restart apart.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

LATENCY_BOUNDS_MS = (10, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 750, 1000, 2000, 5000, 10_000)
"""Upper bounds of the latency buckets; the last bucket, beyond them, is open."""


class MetricsSnapshot(BaseModel):
    """Base: immutable, unknown fields ignored, because gateways and operator are not updated together."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ModelCounters(MetricsSnapshot):
    """One model's counters, by the model that answered.

    A request that a model let down and another one answered counts for both: as an error of the first.
    """

    requests: int = 0
    """Answered requests, whatever came of them; cancelled ones are not in here."""
    errors: int = 0
    cancelled: int = 0
    latency_buckets: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS_MS) + 1)
    """Answered requests by duration; not cumulative over the buckets."""
    shown: int = 0
    accepted: int = 0
    retained_characters: int = 0
    inflight: int = 0
    """A gauge: requests that the engine works at now, but for mirrored ones."""
    seconds: float = 0.0
    """Sum of the durations of answered requests."""
    shadow_requests: int = 0
    """Mirrored requests, whose answers nobody saw; in none of the other counters."""
    shadow_errors: int = 0
    shadow_seconds: float = 0.0


class GatewaySnapshot(MetricsSnapshot):
    """One gateway's counters."""

    instance: str
    """Name of the gateway pod."""
    started: float
    """Unix time of the process's start."""
    at: float
    """Unix time of this reading."""
    routing_version: int = 0
    """The newest routing document it acts by."""
    arrivals: int = 0
    """All requests that came, also those refused."""
    arrivals_by_second: tuple[int, ...] = ()
    """Arrivals in each of the last 60 whole seconds, oldest first: how bursty the load is."""
    rejected: int = 0
    inflight: int = 0
    held: int = 0
    """Requests that wait for a free slot."""
    waking: int = 0
    """Requests that wait for a first engine: of a load they tell nothing yet."""
    quiet_since: float | None = None
    """Unix time at which a request last came or ended, or of the start; None where an older gateway wrote it."""
    queue_p95_ms: float = 0.0
    """Over the last 15 seconds."""
    recent_requests: int = 0
    """Answered requests that ``recent_seconds`` is the sum of: the last thousand, of all models."""
    recent_seconds: float = 0.0
    """Sum of their durations. How long an answer takes now; the models' sums are of the gateway's whole life."""
    models: dict[str, ModelCounters] = Field(default_factory=dict)
    """By digest of the model."""


class TrainerHealth(MetricsSnapshot):
    """What the guard of a training found."""

    reason: str = ""
    """One word while the last steps were out of line; empty when they were not."""
    message: str = ""
    """The newest finding, with step, samples and documents; empty when there was none."""
    spikes: int = 0
    steps_left_out: int = 0
    rewinds: int = 0


class TrainerSnapshot(MetricsSnapshot):
    """What the trainer's first process answers at ``GET /progress``."""

    attempt: int = 0
    step: int = 0
    total_steps: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None
    mfu: float | None = None
    seconds_left: float | None = None
    updated: float
    """Unix time of the last step (or sign of life while loading): a heartbeat."""
    checkpoint_step: int = 0
    """The newest committed checkpoint."""
    health: TrainerHealth | None = None
