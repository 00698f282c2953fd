"""ModelDeployment: a model in production on Triton, staff first, then everyone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from daybreak_contracts.resources.deployment_status import ModelDeploymentStatus
from daybreak_contracts.resources.fields import (
    Count,
    DecimalText,
    Digest,
    Name,
    Ratio,
    Resource,
    Seconds,
    Text,
    Uri,
    require_one,
)
from daybreak_contracts.resources.metadata import ObjectMeta


class TrainingRunRef(Resource):
    """A TrainingRun of the same namespace whose ``status.model`` is followed."""

    name: Name


class DeployedModel(Resource):
    """Which model: one that a run publishes, or a fixed URI with its digest."""

    training_run_ref: TrainingRunRef | None = None
    uri: Uri | None = None
    digest: Digest | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> DeployedModel:
        require_one(self, "training_run_ref", "uri")
        return self

    @model_validator(mode="after")
    def _uri_has_digest(self) -> DeployedModel:
        if (self.uri is None) != (self.digest is None):
            raise ValueError("uri and digest must be given together")
        return self


class Runtime(Resource):
    """What serves the model."""

    kind: Literal["TritonPython", "TritonVLLM", "TritonTRTLLM"] = "TritonPython"
    image: Text = ""
    max_concurrency: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Requests that one replica answers at once; absent means the measured knee."""


class Pool(Resource):
    """One kind of machine to serve on; one Deployment per pool and zone."""

    name: Name
    accelerator: Text
    gpus: Annotated[int, Field(ge=0, le=16)] = 1
    zones: Annotated[tuple[Text, ...], Field(min_length=1, max_length=32)]
    market: Literal["Reserved", "Spot", "OnDemand"] = "OnDemand"
    price_per_hour: DecimalText = "0"
    min: Count = 0
    max: Count = 1

    @model_validator(mode="after")
    def _min_is_below_max(self) -> Pool:
        if self.min > self.max:
            raise ValueError(f"min must not exceed max, got {self.min} > {self.max}")
        return self


class Scaling(Resource):
    """How the number of replicas follows the load."""

    target_utilization: Ratio = "0.65"
    interval_seconds: Seconds = 5
    scale_down_seconds: Seconds = 300
    spare_spot_replicas: Count = 2
    max_zone_share: Ratio = "0.50"


class Guardrails(Resource):
    """Bounds for a candidate, against the stable model at the same time."""

    max_error_ratio: Ratio = "0.01"
    max_p95_latency_ms: Annotated[int, Field(alias="maxP95LatencyMs", ge=1, le=600_000)] = 500
    min_acceptance_ratio: DecimalText = "0.98"
    min_requests: Count = 200


class Rollout(Resource):
    """Two switches and what happens between them."""

    staff: bool = False
    """Switch one: staff get the new model."""
    everyone: bool = False
    """Switch two: ramps to all users."""
    staff_groups: Annotated[tuple[Text, ...], Field(max_length=32)] = ("staff",)
    ramp: Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(min_length=1, max_length=16)] = (
        1,
        5,
        10,
        25,
        50,
        100,
    )
    soak_seconds: Annotated[int, Field(ge=0, le=31_536_000)] = 1800
    guardrails: Guardrails = Guardrails()
    on_breach: Literal["Rollback", "Hold"] = "Rollback"

    @model_validator(mode="after")
    def _ramp_rises(self) -> Rollout:
        if list(self.ramp) != sorted(set(self.ramp)) or self.ramp[-1] != 100:
            raise ValueError(f"ramp must rise and end at 100, got {list(self.ramp)}")
        return self


class Experiment(Resource):
    """How users are split and what is compared."""

    salt: Text = "s1"
    primary_metric: Literal["RetainedCharactersPerShown", "AcceptanceRate"] = "RetainedCharactersPerShown"


class SecretKeyRef(Resource):
    """One key of a Secret of the same namespace."""

    name: Name
    key: Text


class Signature(Resource):
    """Whether a model folder must be signed before it serves."""

    required: bool = False
    public_key_secret_ref: SecretKeyRef | None = None

    @model_validator(mode="after")
    def _required_has_a_key(self) -> Signature:
        if self.required and self.public_key_secret_ref is None:
            raise ValueError("publicKeySecretRef must be given when required is true")
        return self


class Gateway(Resource):
    """The completion gateway in front of the pools."""

    replicas: Annotated[int, Field(ge=1, le=100)] = 2
    hold_ms: Annotated[int, Field(ge=0, le=60_000)] = 200
    """How long a request may wait for a free slot."""
    max_new_tokens: Annotated[int, Field(ge=1, le=4096)] = 64


class ModelDeploymentSpec(Resource):
    """Which model, on what, how it is rolled out."""

    model: DeployedModel
    runtime: Runtime = Runtime()
    replicas: Count | None = None
    """Fixed size; absent means autoscaled. The scale subresource writes it."""
    pools: Annotated[tuple[Pool, ...], Field(min_length=1, max_length=32)]
    scaling: Scaling = Scaling()
    rollout: Rollout = Rollout()
    experiment: Experiment = Experiment()
    signature: Signature = Signature()
    gateway: Gateway = Gateway()

    @model_validator(mode="after")
    def _pool_names_are_unique(self) -> ModelDeploymentSpec:
        names = [pool.name for pool in self.pools]
        if len(names) != len(set(names)):
            raise ValueError(f"pool names must be unique, got {', '.join(names)}")
        return self


class ModelDeployment(Resource):
    """One model service."""

    api_version: Literal["daybreak.dev/v1alpha1"]
    kind: Literal["ModelDeployment"]
    metadata: ObjectMeta
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus | None = None
