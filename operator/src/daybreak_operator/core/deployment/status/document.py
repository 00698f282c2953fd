"""The status of a ModelDeployment, written out from what was decided. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from daybreak_contracts import names
from daybreak_contracts.resources.deployment import ModelDeploymentSpec
from daybreak_contracts.resources.fields import Resource
from daybreak_operator.core import conditions
from daybreak_operator.core.capacity import codec
from daybreak_operator.core.capacity.values import CapacityDecision, PlacementMemory
from daybreak_operator.core.deployment.children.gateway import url_of
from daybreak_operator.core.deployment.children.identity import OwnerIdentity, identity_of
from daybreak_operator.core.deployment.observed.fleet import EngineFleet
from daybreak_operator.core.deployment.rollout import sizing
from daybreak_operator.core.deployment.state import RolloutState
from daybreak_operator.core.deployment.status.codec import write
from daybreak_operator.core.deployment.status.view import View
from daybreak_operator.core.plan import Json


def status_of(view: View, said: Iterable[conditions.ConditionUpdate], now: datetime) -> dict[str, Json]:
    """Return the whole status."""
    spec, state, fleet = view.spec, view.state, view.fleet
    deployment = view.observed.deployment
    generation = deployment["metadata"].get("generation", 0)
    stored = (deployment.get("status") or {}).get("conditions") or ()
    owner = identity_of(deployment)
    return {
        "observedGeneration": generation,
        "url": url_of(owner, view.observed.settings),
        "replicas": len(fleet.alive()),
        "readyReplicas": sum(1 for pod in fleet.alive() if pod.ready_since is not None),
        "selector": selector_of(owner),
        **write(state),
        **capacity_part(spec, state, fleet),
        "zonesReady": zones_ready(spec, fleet),
        "costPerHour": f"{cost_of(spec, fleet):.2f}",
        "conditions": conditions.merge(stored, said, generation, now),
    }


def selector_of(owner: OwnerIdentity) -> str:
    """Return the label selector of the serving pods, for the scale subresource."""
    return ",".join(f"{key}={value}" for key, value in sorted(owner.selector(names.ROLE_ENGINE).items()))


def capacity_part(spec: ModelDeploymentSpec, state: RolloutState, fleet: EngineFleet) -> dict[str, Json]:
    """Return zones and what placement remembers: of the model that carries the load, and of a candidate beside it."""
    carrier = sizing.carrier_of(state)
    part = remembered(spec, state.memory, fleet, carrier)
    candidate = state.rolling
    if candidate is not None and candidate.digest != carrier:
        part["candidateCapacity"] = remembered(spec, state.candidate_memory, fleet, candidate.digest)
    return part


def remembered(
    spec: ModelDeploymentSpec, memory: PlacementMemory, fleet: EngineFleet, digest: str | None
) -> dict[str, Json]:
    """Return zones and memory of one model, as ``capacity.codec.memory_of`` reads them."""
    decision = CapacityDecision({}, {}, 0, memory, (), 0.0, 0.0)
    held = fleet.held(digest) if digest is not None else ()
    zones = codec.zones_of(decision, spec.pools, held, fleet.at)
    return {
        "zones": [plain(zone) for zone in zones],
        "capacity": plain(codec.capacity_of(memory)),
    }


def plain(part: Resource) -> dict[str, Json]:
    """Return a part of the status as JSON."""
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


def zones_ready(spec: ModelDeploymentSpec, fleet: EngineFleet) -> str:
    """Return zones with a replica that answers, of all zones: ``2/3``."""
    zones = {zone for pool in spec.pools for zone in pool.zones}
    ready = {pod.place[1] for pod in fleet.alive() if pod.ready_since is not None} & zones
    return f"{len(ready)}/{len(zones)}"


def cost_of(spec: ModelDeploymentSpec, fleet: EngineFleet) -> float:
    """Return the price per hour of the replicas that have a machine, of all models together."""
    prices = {pool.name: float(pool.price_per_hour) for pool in spec.pools}
    return sum(prices.get(pod.place[0], 0.0) for pod in fleet.alive() if pod.placed)
