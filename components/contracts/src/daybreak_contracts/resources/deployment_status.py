"""What the operator says of a ModelDeployment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from daybreak_contracts.resources.fields import Between, Count, DecimalText, Ratio, Resource, Text
from daybreak_contracts.resources.metadata import Condition

Stage = Literal[
    "Pending", "Verified", "Warm", "Shadow", "Staff", "Ramp", "Everyone", "Paused", "RolledBack", "Starved"
]


class StableStatus(Resource):
    """The model that everyone gets."""

    digest: Text
    """Digest of the model folder."""
    revision: Text = ""
    """Tells it from the same model on another runtime; empty where there was none beside it."""
    image: Annotated[str, Field(max_length=1024)] = ""
    """Image that its pods run."""
    runtime: Text = ""
    """Backend of Triton that they serve it by."""
    max_concurrency: Annotated[int, Between(1, 4096)] | None = None
    """Requests that one of its replicas answers at once; absent means the measured knee."""
    uri: Annotated[str, Field(max_length=1024)] = ""
    """The model folder: pods that are made later fetch it again."""
    since: Text
    """When it became the stable one (RFC 3339)."""


class CandidateStatus(Resource):
    """The model that is being rolled out."""

    digest: Text
    """Digest of the model folder."""
    revision: Text = ""
    """Tells it from the same model on another runtime; empty where there was none beside it."""
    image: Annotated[str, Field(max_length=1024)] = ""
    """Image that its pods run."""
    runtime: Text = ""
    """Backend of Triton that they serve it by."""
    max_concurrency: Annotated[int, Between(1, 4096)] | None = None
    """Requests that one of its replicas answers at once; absent means the measured knee."""
    stage: Stage
    """How far the rollout is."""
    weight: Annotated[int, Between(0, 100)] = 0
    """Share of users, in percent, that get it."""
    uri: Annotated[str, Field(max_length=1024)] = ""
    """The model folder."""
    source: Text = ""
    """What named it: a TrainingRun, or the spec itself."""
    since: Text
    """Since when the same users get it; before anyone does, when the stage began (RFC 3339)."""
    verdict: Annotated[str, Field(max_length=4096)] = ""
    """What the guardrails say; of a refused model, why."""
    in_place: bool = False
    """Whether it takes over the machines of the stable model one after the other, because there are none to spare."""


class RetiredStatus(Resource):
    """A model that nobody gets any more and whose pods still answer what is under way."""

    list_keys = ("digest",)

    digest: Text
    """Digest of the model folder."""
    since: Text
    """When it left the routing (RFC 3339)."""


class ZoneStatus(Resource):
    """One pool in one zone."""

    list_keys = ("pool", "zone")

    pool: Text
    """Name of the pool."""
    zone: Text
    """Name of the zone."""
    ready: Count = 0
    """Replicas that answer."""
    pending: Count = 0
    """Replicas that wait for a machine."""
    state: Literal["Open", "BackingOff"] = "Open"
    """BackingOff: the zone gave no machine, it is tried again at `retryAt`."""
    retry_at: Text | None = None
    """When the zone is tried again (RFC 3339)."""
    price_per_hour: DecimalText = "0"
    """Price of one replica."""
    desired: Count = 0
    """Replicas that were last asked for."""
    failures: Count = 0
    """Launches in a row that did not come up; each doubles the wait."""
    success: Ratio | None = None
    """Chance that a launch comes up, as of `successAt`; absent while nothing is known."""
    success_at: Text | None = None
    """When `success` was learnt (RFC 3339); it decays from there."""
    failed_at: Text | None = None
    """When a launch last failed (RFC 3339)."""
    came_up_at: Text | None = None
    """When the newest replica began to answer (RFC 3339)."""
    up_since: Text | None = None
    """Since when at least one replica answers (RFC 3339)."""


class CapacityStatus(Resource):
    """What the decision on capacity remembers, so that a restarted operator decides the same."""

    needed: Count | None = None
    """Replicas that must answer, by the load or by `spec.replicas`; spare ones come on top."""
    low_since: Text | None = None
    """Since when the load needs fewer (RFC 3339)."""
    short_since: Text | None = None
    """Since when fewer answer than are needed (RFC 3339)."""
    steady_since: Text | None = None
    """Since when more than enough answer while on-demand is held beyond its minimum (RFC 3339)."""
    surplus_since: Text | None = None
    """Since when a replica could go (RFC 3339)."""


class RoutingStatus(Resource):
    """The small document that gateways watch."""

    version: Annotated[int, Between(0)] = 0
    """Rises with every change."""
    document: Annotated[dict[str, Any], Field(max_length=256)] = Field(default_factory=dict)
    """Which model answers whom."""


class ColdStartStatus(Resource):
    """What a replica's start took, by stages, in seconds."""

    machine_seconds: Count | None = None
    """Until it had a node."""
    image_seconds: Count | None = None
    """From then until its first container ran: image and volumes."""
    fetch_seconds: Count | None = None
    """Bringing and checking the model."""
    load_seconds: Count | None = None
    """From then until it answered: the engine, the weights, the golden completion."""


class ModelDeploymentStatus(Resource):
    """Written by the operator only."""

    observed_generation: Annotated[int, Between(0)] | None = None
    """Generation of the spec that this status is about."""
    url: Text | None = None
    """Address of the gateway inside the cluster."""
    replicas: Count | None = None
    """Replicas over all pools and zones; the scale subresource reads it."""
    ready_replicas: Count | None = None
    """Of those, the ones that answer."""
    selector: Text | None = None
    """Label selector of the serving pods; the scale subresource reads it."""
    stable: StableStatus | None = None
    """The model that everyone gets."""
    candidate: CandidateStatus | None = None
    """The model that is being rolled out."""
    rejected: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    """Digests that were rolled back; not tried again until the spec changes."""
    retired: Annotated[tuple[RetiredStatus, ...], Field(max_length=64)] = ()
    """Models whose pods go as soon as gateways had time to leave them."""
    rollout_digest: Text = ""
    """Digest of the part of the spec that a rollout depends on: when it changes, rejected models count anew."""
    candidate_capacity: Annotated[dict[str, Any], Field(max_length=16)] = Field(default_factory=dict)
    """For the candidate beside the stable model what `zones` and `capacity` are for that."""
    zones: Annotated[tuple[ZoneStatus, ...], Field(max_length=1024)] = ()
    """Each pool in each zone."""
    capacity: CapacityStatus | None = None
    """What the decision on capacity remembers."""
    zones_ready: Text | None = None
    """Zones with a replica that answers, of all zones, as ``2/3``: for the printed table."""
    cost_per_hour: DecimalText | None = None
    """Price of what runs now."""
    asleep_since: Text | None = None
    """Since when no replica runs because nobody asks (RFC 3339); absent while awake."""
    woken_at: Text | None = None
    """When it was last woken (RFC 3339)."""
    cold_start_seconds: Count | None = None
    """What the oldest replica that answers took from its making to its first answer."""
    cold_start: ColdStartStatus | None = None
    """The same by its stages."""
    routing: RoutingStatus | None = None
    """The small document that gateways watch."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
    """Ready, RolloutHealthy, CapacityAvailable, Reconciling, Stalled."""
