"""ModelDeployment: a model in production on Triton, staff first, then everyone."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from daybreak_contracts.names import ApiVersion
from daybreak_contracts.resources import rules
from daybreak_contracts.resources.access import AccessLimits, Auth, SecretKeyRef
from daybreak_contracts.resources.deployment_status import ModelDeploymentStatus
from daybreak_contracts.resources.fields import (
    Amount,
    Between,
    Count,
    Digest,
    Flag,
    Name,
    Origin,
    Ratio,
    Resource,
    ResourceName,
    Seconds,
    Text,
    Uri,
)
from daybreak_contracts.resources.metadata import ObjectMeta
from daybreak_contracts.resources.rules import Rule

PodPatch = Annotated[dict[str, Any], Field(max_length=64)]
"""Part of a pod (``metadata``, ``spec``), laid over the one that the operator makes."""


class TrainingRunRef(Resource):
    """A TrainingRun of the same namespace whose ``status.model`` is followed."""

    name: Name
    """Name of the TrainingRun."""


class DeployedModel(Resource):
    """Which model: one that a run publishes, or a fixed URI with its digest."""

    rules = (
        rules.exactly_one("training_run_ref", "uri"),
        rules.together("uri", "digest"),
        rules.stored("uri"),
    )

    training_run_ref: TrainingRunRef | None = None
    """Follow the model that this run publishes."""
    uri: Uri | None = None
    """A model folder."""
    digest: Digest | None = None
    """SHA-256 of that folder's bytes, as the manifest of the export says it."""


class Runtime(Resource):
    """What serves the model."""

    kind: Literal["TritonPython", "TritonVLLM", "TritonTRTLLM"] = "TritonPython"
    """Engine behind Triton: our own on processors, vLLM on GPUs (or processors); TensorRT-LLM is not served yet."""
    image: Text = ""
    """Image of the serving pods; empty means the chart's for this runtime, by digest."""
    max_concurrency: Annotated[int, Between(1, 4096)] | None = None
    """Requests that one replica answers at once; absent means the measured knee."""


class Pool(Resource):
    """One kind of machine to serve on; one Deployment per pool and zone."""

    rules = (rules.ordered("min", "max"),)
    list_keys = ("name",)

    name: Name
    """Name of the pool."""
    accelerator: Text
    """Value of the node label that says which accelerator a machine has."""
    gpus: Annotated[int, Between(0, 16)] = 1
    """GPUs per replica."""
    gpu_resource: ResourceName = "nvidia.com/gpu"
    """What nodes call such a GPU or a part of one: `nvidia.com/mig-1g.10gb`, `nvidia.com/gpu.shared`, `amd.com/gpu`,
    `gpu.intel.com/i915`."""
    zones: Annotated[tuple[Text, ...], Field(min_length=1, max_length=32)]
    """Zones to serve in."""
    market: Literal["Reserved", "Spot", "OnDemand"] = "OnDemand"
    """Kind of capacity; Spot may be taken away at any moment."""
    price_per_hour: Amount = "0"
    """Price of one replica; the cheapest capacity is used first."""
    min: Count = 0
    """Replicas that always run. Where all pools say 0, one stays all the same, unless `scaling.scaleToZeroSeconds` is
    given."""
    max: Count = 1
    """Replicas at most."""


class Scaling(Resource):
    """How the number of replicas follows the load."""

    rules = (rules.above_zero("target_utilization"), rules.above_zero("max_zone_share"))

    target_utilization: Ratio = "0.65"
    """Share of its concurrency at which a replica counts as full."""
    interval_seconds: Seconds = 5
    """How often the load is looked at."""
    scale_down_seconds: Seconds = 300
    """How long the load must stay low before replicas go."""
    scale_to_zero_seconds: Annotated[int, Between(10, 31_536_000)] | None = None
    """How long nobody may have asked before the last replica goes, too: the next request is held and wakes it. Absent:
    one always runs. Without effect where `replicas` is given."""
    spare_spot_replicas: Count = 2
    """Replicas above the need, in case spot machines are taken away."""
    max_zone_share: Ratio = "0.50"
    """Share of the replicas that one zone may hold, where there are several."""


class Guardrails(Resource):
    """Bounds for a candidate, against the stable model at the same time."""

    max_error_ratio: Ratio = "0.01"
    """Share of requests that may fail."""
    max_p95_latency_ms: Annotated[int, Field(alias="maxP95LatencyMs"), Between(1, 600_000)] = 500
    """The 95th percentile of the answer time."""
    min_acceptance_ratio: Amount = "0.98"
    """Accepted suggestions of the candidate, divided by those of the stable model."""
    min_requests: Count = 200
    """Requests before a verdict."""


RAMP_STEPS = 16


class Rollout(Resource):
    """Two switches and what happens between them."""

    rules = (rules.rises_to("ramp", 100, RAMP_STEPS),)

    staff: Flag = False
    """Switch one: staff get the new model."""
    everyone: Flag = False
    """Switch two: ramps to all users."""
    staff_groups: Annotated[tuple[Text, ...], Field(max_length=32)] = ("staff",)
    """Groups of users that count as staff."""
    ramp: Annotated[
        tuple[Annotated[int, Between(1, 100)], ...],
        Field(min_length=1, max_length=RAMP_STEPS),
    ] = (1, 5, 10, 25, 50, 100)
    """Shares of users, in percent, one after the other."""
    soak_seconds: Annotated[int, Between(0, 31_536_000)] = 1800
    """How long each share is watched."""
    in_place: Flag = False
    """True takes over the stable model's machines one after the other, as `maxSurge: 0` of a Deployment, and asks for
    none beside them; false does so after ten minutes without a machine. With `replicas` of two and more."""
    guardrails: Guardrails = Guardrails()
    """Bounds for the candidate."""
    on_breach: Literal["Rollback", "Hold"] = "Rollback"
    """What a broken guardrail leads to."""


class Experiment(Resource):
    """How users are split and what is compared."""

    salt: Text = "s1"
    """A new salt makes a new split."""
    primary_metric: Literal["RetainedCharactersPerShown", "AcceptanceRate"] = "RetainedCharactersPerShown"
    """What an analysis of the experiment compares; a rollout itself goes by its guardrails."""


class Signature(Resource):
    """Whether a model folder must be signed before it serves."""

    rules = (
        Rule(
            message="publicKeySecretRef must be given when required is true",
            cel="!self.required || has(self.publicKeySecretRef)",
            holds=lambda signature: not signature.required or signature.public_key_secret_ref is not None,
            at="publicKeySecretRef",
        ),
    )

    required: Flag = False
    """True refuses a model without a good signature."""
    public_key_secret_ref: SecretKeyRef | None = None
    """The public key that signatures are checked with."""


class Gateway(Resource):
    """The completion gateway in front of the pools."""

    replicas: Annotated[int, Between(1, 100)] = 2
    """Gateway pods."""
    hold_ms: Annotated[int, Between(0, 60_000)] = 200
    """How long a request may wait for a free slot."""
    max_new_tokens: Annotated[int, Between(1, 4096)] = 64
    """Tokens of a completion at most."""
    pod_template: PodPatch = Field(default={})
    """Strategic patch for the gateway's pods (container `gateway`): what `spec.podTemplate` is for the serving pods."""
    auth: Auth | None = None
    """Who may ask; absent means that everybody who reaches the gateway may, and headers say who it is."""
    limits: AccessLimits = AccessLimits()
    """How much one may ask."""
    allowed_origins: Annotated[tuple[Origin, ...], Field(max_length=32)] = ()
    """Web pages that may ask, as `https://ide.example.org`; those of other sites are refused."""


def _leaves_one(spec: ModelDeploymentSpec) -> bool:
    return not spec.rollout.in_place or (spec.replicas is not None and spec.replicas != 1)


def _fits_zero(spec: ModelDeploymentSpec) -> bool:
    return spec.scaling.scale_to_zero_seconds is None or all(pool.min == 0 for pool in spec.pools)


class ModelDeploymentSpec(Resource):
    """Which model, on what, how it is rolled out."""

    rules = (
        rules.unique("pools", "name"),
        Rule(
            message="rollout.inPlace needs replicas of 2 or more: a single one would leave nobody to answer",
            cel="!self.rollout.inPlace || (has(self.replicas) && self.replicas != 1)",
            holds=_leaves_one,
            at="rollout",
        ),
        Rule(
            message="with scaling.scaleToZeroSeconds, min of every pool must be 0",
            cel="!has(self.scaling.scaleToZeroSeconds) || self.pools.all(pool, pool.min == 0)",
            holds=_fits_zero,
            at="pools",
            got=lambda spec: ", ".join(f"{pool.name} {pool.min}" for pool in spec.pools if pool.min),
        ),
    )

    model: DeployedModel
    """Which model."""
    runtime: Runtime = Runtime()
    """What serves it."""
    replicas: Count | None = None
    """Fixed size; absent (not null) means autoscaled. The scale subresource writes it."""
    pools: Annotated[tuple[Pool, ...], Field(min_length=1, max_length=32)]
    """Machines to serve on."""
    scaling: Scaling = Scaling()
    """How the number of replicas follows the load."""
    rollout: Rollout = Rollout()
    """How a new model reaches its users."""
    experiment: Experiment = Experiment()
    """How users are split and what is compared."""
    signature: Signature = Signature()
    """Whether a model folder must be signed before it serves."""
    gateway: Gateway = Gateway()
    """The completion gateway in front of the pools."""
    pod_template: PodPatch = Field(default={})
    """Strategic patch for the serving pods (containers `engine`, `fetch`): resources, tolerations, priority,
    annotations, environment, volumes, runtime class. Node affinity and tolerations are added to those of the pools."""


class ModelDeployment(Resource):
    """A model in production: served by Triton, staff first, then everyone."""

    api_version: ApiVersion
    """Always `daybreak.dev/v1alpha1`."""
    kind: Literal["ModelDeployment"]
    """Always `ModelDeployment`."""
    metadata: ObjectMeta
    """Name, namespace, labels, annotations."""
    spec: ModelDeploymentSpec
    """Which model, on what, how it is rolled out."""
    status: ModelDeploymentStatus | None = None
    """Written by the operator only."""
