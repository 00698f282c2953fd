"""The values that capacity decisions take and give.

Owns their meaning and units (seconds are Unix time, prices are per replica and hour). Decides nothing, and knows
nothing of Kubernetes: ``decide.decide_capacity`` is the one entry point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from daybreak_operator.core.plan import Finding

Place = tuple[str, str]
"""Pool and zone: one Deployment of serving pods."""
Market = Literal["Reserved", "Spot", "OnDemand"]


@dataclass(frozen=True)
class Pending:
    """One replica that was asked for and does not answer yet."""

    since: float
    """When it was asked for; of one that answered before, when it stopped."""
    placed: bool = False
    """Whether it has a machine: then it only loads, and gets longer until it counts as failed."""
    refused: bool = False
    """Whether a stock-out was seen (an event of the autoscaler or the cloud): it counts as failed at once."""


@dataclass(frozen=True)
class Held:
    """What one pool holds in one zone. A replica under a reclaim notice is in neither list: it is as good as gone."""

    pool: str
    zone: str
    ready: tuple[float, ...] = ()
    """Since when each replica answers."""
    pending: tuple[Pending, ...] = ()


@dataclass(frozen=True)
class Demand:
    """What the gateways say of the load, summed over them (``demand.demand_of`` makes it)."""

    arrivals_by_second: tuple[float, ...] = ()
    """Requests in each of the last whole seconds, oldest first, 60 at most."""
    service_s: float | None = None
    """Mean seconds that a replica works at a request, of the last ones; None before the first answer."""
    inflight: float = 0.0
    waiting: float = 0.0
    """Requests held because no slot was free."""
    queue_p95_s: float = 0.0
    age_s: float | None = None
    """Age of the oldest reading; None when a gateway did not answer or none did."""
    slots: int = 8
    """Requests that one replica answers at once within the objective (``runtime.maxConcurrency``)."""
    floor: int = 1
    """Replicas to have whatever the load is; 0 only where nobody may use the model."""


@dataclass(frozen=True)
class Learned:
    """What is known of one offering (pool, zone). Only events change it, so an idle minute writes nothing."""

    ready: int = 0
    """Replicas that answered at the last decision."""
    desired: int = 0
    """Replicas that the last decision wanted: more lost than given up is a loss."""
    up_since: int | None = None
    """Since when at least one replica answers: capacity that just came up dies young."""
    came_up: int | None = None
    """The newest replica that is already counted as a success."""
    success: float | None = None
    """Chance that a launch comes up, as of ``success_at``; it decays to the market's prior. None: the prior."""
    success_at: int | None = None
    failures: int = 0
    """In a row."""
    failed_at: int | None = None
    """When the last failure was seen: launches asked for before it are not counted again."""
    retry_at: int | None = None
    """No launch before this time."""


@dataclass(frozen=True)
class PlacementMemory:
    """All that must outlive one decision; ``record`` keeps it in the ModelDeployment's status."""

    offerings: Mapping[Place, Learned] = field(default_factory=dict)
    needed: int | None = None
    """Replicas that the load was last found to need."""
    low_since: int | None = None
    """Since when the load needs fewer."""
    short_since: int | None = None
    """Since when fewer than are needed answer or have a machine to load on."""
    steady_since: int | None = None
    """Since when more than enough answer while on-demand is held beyond its minimum."""
    surplus_since: int | None = None
    """Since when a replica could go."""


@dataclass(frozen=True)
class CapacityDecision:
    """How many replicas each Deployment shall have now."""

    desired: Mapping[Place, int]
    """For every zone of every pool, also where it is 0. Includes replicas that answer, wait, or are asked for now."""
    launches: Mapping[Place, int]
    """Of ``desired``, how many are asked for by this decision."""
    needed: int
    """Replicas that must answer; ``desired`` may hold spare ones above it."""
    memory: PlacementMemory
    findings: tuple[Finding, ...]
    """Why capacity is missing; empty when all is well. Texts hold no moving numbers except retry times."""
    cost_per_hour: float
    """Price of the machines held now."""
    requeue_after_s: float
