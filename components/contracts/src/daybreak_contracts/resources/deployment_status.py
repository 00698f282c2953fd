"""What the operator says of a ModelDeployment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from daybreak_contracts.resources.fields import Count, DecimalText, Resource, Text
from daybreak_contracts.resources.metadata import Condition

Stage = Literal[
    "Pending", "Verified", "Warm", "Shadow", "Staff", "Ramp", "Everyone", "Paused", "RolledBack", "Starved"
]


class StableStatus(Resource):
    """The model that everyone gets."""

    digest: Text
    since: Text


class CandidateStatus(Resource):
    """The model that is being rolled out."""

    digest: Text
    stage: Stage
    weight: Annotated[int, Field(ge=0, le=100)] = 0
    since: Text
    verdict: Text = ""


class ZoneStatus(Resource):
    """One pool in one zone."""

    pool: Text
    zone: Text
    ready: Count = 0
    pending: Count = 0
    state: Literal["Open", "BackingOff"] = "Open"
    retry_at: Text | None = None
    price_per_hour: DecimalText = "0"


class RoutingStatus(Resource):
    """The small document that gateways watch."""

    version: Annotated[int, Field(ge=0)] = 0
    document: dict[str, Any] = Field(default_factory=dict)


class ModelDeploymentStatus(Resource):
    """Written by the operator only."""

    observed_generation: int | None = None
    url: Text | None = None
    replicas: Count | None = None
    ready_replicas: Count | None = None
    selector: Text | None = None
    stable: StableStatus | None = None
    candidate: CandidateStatus | None = None
    rejected: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    zones: Annotated[tuple[ZoneStatus, ...], Field(max_length=1024)] = ()
    cost_per_hour: DecimalText | None = None
    routing: RoutingStatus | None = None
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = ()
