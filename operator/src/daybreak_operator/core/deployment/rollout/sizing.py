"""How many replicas each model of a deployment shall have, in which pool and zone.

The model that carries the load follows it; a candidate gets, beside it, what its next share of users needs. Where they
go is decided by ``core.capacity``, once for each of the two. Owns nothing of zones and prices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from daybreak_contracts.metrics_snapshot import GatewaySnapshot
from daybreak_contracts.resources.deployment import ModelDeploymentSpec, Pool
from daybreak_operator.core.capacity.decide import decide_capacity
from daybreak_operator.core.capacity.demand import demand_of
from daybreak_operator.core.capacity.placement.layout import TUNING, Tuning
from daybreak_operator.core.capacity.values import (
    CapacityDecision,
    Demand,
    Held,
    Learned,
    Place,
    PlacementMemory,
)
from daybreak_operator.core.deployment.observed.fleet import EngineFleet
from daybreak_operator.core.deployment.rollout import in_place
from daybreak_operator.core.deployment.rollout.steps import next_weight
from daybreak_operator.core.deployment.rollout.target import bare
from daybreak_operator.core.deployment.state import CandidateModel, RolloutState
from daybreak_operator.core.plan import Finding

LEAD_S = 600
"""How long before the end of a soak the next step's replicas are asked for: the budget of a cold start is two minutes
(serving design), a slow registry or a scarce zone takes several."""
DEFAULT_SLOTS = 8


@dataclass(frozen=True)
class Sizing:
    """What was decided, by digest of the model."""

    desired: Mapping[str, Mapping[Place, int]] = field(default_factory=dict)
    needed: int = 0
    """Replicas of the model that carries the load."""
    findings: tuple[Finding, ...] = ()
    """Why capacity for that model is missing."""
    candidate_findings: tuple[Finding, ...] = ()
    enough: bool = False
    """Whether the candidate has what its next share of users needs."""
    starved: bool = False
    next_share: int | None = None
    """Of users, in percent, where that is not the ramp's."""
    requeue_after_s: float | None = None


@dataclass(frozen=True)
class Load:
    """What the size is decided by."""

    spec: ModelDeploymentSpec
    fleet: EngineFleet
    snapshots: Sequence[GatewaySnapshot]
    at: float
    """Unix time of this pass."""
    tuning: Tuning = TUNING


def size(state: RolloutState, load: Load) -> tuple[RolloutState, Sizing]:
    """Return the sizes, and the state with what placement remembers."""
    carrier = carrier_of(state)
    if carrier is None:
        return state, Sizing()
    replicas = load.spec.replicas if state.asleep_since is None else 0
    together = in_place.replicas_in_place(state, load.spec)
    if together is not None and state.rolling is not None:
        replicas = in_place.stays(together, state.rolling.weight)
    main = decide(load, carrier, state.memory, load.spec.pools, replicas)
    state = replace(state, memory=main.memory)
    sizing = Sizing(
        desired={carrier: main.desired},
        needed=main.needed,
        findings=main.findings,
        requeue_after_s=wait_of(main, load, carrier, fixed=replicas is not None),
    )
    candidate = state.rolling
    if candidate is None:
        return state, sizing
    if candidate.digest == carrier:
        starved = is_starved(main, candidate, load.fleet)
        return state, replace(sizing, enough=True, starved=starved, candidate_findings=main.findings)
    return size_beside(state, candidate, main, load, sizing)


def carrier_of(state: RolloutState) -> str | None:
    """Return the model that carries the load: the stable one, before there is one the first candidate."""
    if state.stable is not None:
        return state.stable.digest
    return state.rolling.digest if state.rolling is not None else None


def size_beside(
    state: RolloutState, candidate: CandidateModel, main: CapacityDecision, load: Load, sizing: Sizing
) -> tuple[RolloutState, Sizing]:
    """Return the sizes with the candidate's, in the room that the stable model leaves in the pools."""
    pools = room_beside(load.spec.pools, main.desired)
    room = sum(pool.max for pool in pools)
    together = in_place.replicas_in_place(state, load.spec)
    needed = main.needed if together is None else together
    wanted = replicas_wanted(state, candidate, needed, load) if together is None else together - main.needed
    memory = with_back_off_of(state.candidate_memory, main.memory)
    decision = decide(load, candidate.digest, memory, pools, min(wanted, room), beside=True)
    findings = decision.findings
    if wanted > room:
        findings = (pools_are_full(wanted, room), *findings)
    ready = load.fleet.ready(candidate.digest)
    share = next_weight(candidate, load.spec.rollout)
    if together is not None:
        share = in_place.next_share(candidate, load.spec, together, ready)
    next_needs = replicas_for(share, needed) - (in_place.slack(needed) if together is not None else 0)
    return replace(state, candidate_memory=decision.memory), replace(
        sizing,
        desired={**sizing.desired, candidate.digest: decision.desired},
        candidate_findings=findings,
        enough=ready >= max(1, next_needs),
        next_share=share,
        starved=wanted > room or (wanted > 0 and is_starved(decision, candidate, load.fleet)),
        requeue_after_s=sooner(sizing.requeue_after_s, wait_of(decision, load, candidate.digest, fixed=True)),
    )


def decide(
    load: Load,
    digest: str,
    memory: PlacementMemory,
    pools: Sequence[Pool],
    replicas: int | None,
    *,
    beside: bool = False,
) -> CapacityDecision:
    """Return where one model's replicas go. The one place that calls ``core.capacity``.

    A candidate has spare spot replicas only beyond its first one: losing it costs nobody an answer.
    """
    scaling = load.spec.scaling
    if beside:
        spare = min(scaling.spare_spot_replicas, max(0, (replicas or 0) - 1))
        scaling = scaling.model_copy(update={"spare_spot_replicas": spare})
    held = load.fleet.held(digest)
    decision = decide_capacity(
        pools,
        scaling,
        replicas=replicas,
        demand=demand(load),
        held=held,
        memory=memory,
        now=load.at,
        tuning=load.tuning,
    )
    return replace(decision, desired=keep_what_answers(decision, held))


def keep_what_answers(decision: CapacityDecision, held: Sequence[Held]) -> dict[Place, int]:
    """Return the sizes without giving up replicas that answer before others do in their stead."""
    desired = dict(decision.desired)
    ready = {(one.pool, one.zone): len(one.ready) for one in held if (one.pool, one.zone) in desired}
    left = sum(min(count, desired[place]) for place, count in ready.items())
    short = min(decision.needed, sum(ready.values())) - left
    for place, count in ready.items():
        kept = max(0, min(short, count - desired[place]))
        desired[place] += kept
        short -= kept
    return desired


def demand(load: Load) -> Demand:
    """Return the load on all models together. One replica is always needed: models take minutes to load."""
    return demand_of(
        load.snapshots,
        gateways=load.spec.gateway.replicas,
        slots=load.spec.runtime.max_concurrency or DEFAULT_SLOTS,
        floor=1,
        now=load.at,
    )


def wait_of(decision: CapacityDecision, load: Load, digest: str, *, fixed: bool) -> float | None:
    """Return when capacity must be looked at again; None when a fixed number of replicas is there and stays."""
    memory = decision.memory
    times = (memory.short_since, memory.steady_since, memory.surplus_since)
    complete = load.fleet.ready(digest) == load.fleet.wanted(digest) == sum(decision.desired.values())
    settled = complete and not decision.findings and all(time is None for time in times)
    return None if fixed and settled else decision.requeue_after_s


def sooner(one: float | None, other: float | None) -> float | None:
    """Return the shorter wait; None is for ever."""
    return min((wait for wait in (one, other) if wait is not None), default=None)


def is_starved(decision: CapacityDecision, candidate: CandidateModel, fleet: EngineFleet) -> bool:
    """Return whether no zone has a machine: fewer can be asked for than are needed, or every zone just failed.

    Once it is so it stays so until a machine was found: a further try is no news.
    """
    if sum(decision.desired.values()) < decision.needed:
        return True
    if any(pod.placed and pod.ready_since is None for pod in fleet.alive(candidate.digest)):
        return False
    zones = decision.memory.offerings.values()
    return candidate.stage == "Starved" or (bool(zones) and all(zone.failures for zone in zones))


def room_beside(pools: Sequence[Pool], desired: Mapping[Place, int]) -> tuple[Pool, ...]:
    """Return the pools with what the stable model leaves of them; their minima are its."""
    taken: dict[str, int] = {}
    for (pool, _), count in desired.items():
        taken[pool] = taken.get(pool, 0) + count
    return tuple(
        pool.model_copy(update={"min": 0, "max": max(0, pool.max - taken.get(pool.name, 0))})
        for pool in pools
    )


def pools_are_full(wanted: int, room: int) -> Finding:
    """The pools' bounds leave too little beside the stable model."""
    return Finding(
        "PoolsFull",
        f"the candidate needs {wanted} replicas beside the stable model's, the pools' max leave {room}: "
        "raise max of a pool",
    )


def replicas_wanted(state: RolloutState, candidate: CandidateModel, needed: int, load: Load) -> int:
    """Return the replicas that a candidate shall have now.

    What its users need, and from ``LEAD_S`` before the end of a soak what the next share needs. While anybody gets it
    the number only rises: the ramp goes one way. None beside a model that sleeps or was scaled to zero.
    """
    if needed == 0:
        return 0
    weight = candidate.weight if load.spec.rollout.everyone else 0
    if wants_next(state, candidate, load):
        weight = next_weight(candidate, load.spec.rollout)
    wanted = replicas_for(weight, needed)
    if weight or (state.staff_served and load.spec.rollout.staff):
        wanted = max(wanted, replicas_busy(candidate.digest, load), load.fleet.wanted(candidate.digest))
    return max(1, min(wanted, needed))


def wants_next(state: RolloutState, candidate: CandidateModel, load: Load) -> bool:
    """Return whether the next step is near enough to place its replicas."""
    rollout = load.spec.rollout
    if not rollout.everyone or candidate.stage == "Paused" or not load.fleet.ready(candidate.digest):
        return False
    if candidate.weight == 0 and not rollout.staff:
        return True
    if candidate.weight == 0 and not state.staff_served:
        return False
    return load.at - candidate.since >= rollout.soak_seconds - LEAD_S


def replicas_for(weight: int, needed: int) -> int:
    """Return the replicas for a share of users in percent: at least one."""
    return max(1, math.ceil(needed * weight / 100))


def replicas_busy(digest: str, load: Load) -> int:
    """Return the replicas that the requests at work on a model fill to the target utilisation: staff, too, count."""
    inflight = sum(
        model.inflight
        for reading in load.snapshots
        for name, model in reading.models.items()
        if bare(name) == digest
    )
    slots = load.spec.runtime.max_concurrency or DEFAULT_SLOTS
    return math.ceil(inflight / (float(load.spec.scaling.target_utilization) * slots))


def with_back_off_of(memory: PlacementMemory, other: PlacementMemory) -> PlacementMemory:
    """Return a memory that also waits where the other one does: a zone without machines has none for both."""
    offerings = dict(memory.offerings)
    for place, learned in other.offerings.items():
        own = offerings.get(place, Learned())
        if learned.retry_at is not None and learned.retry_at > (own.retry_at or 0):
            offerings[place] = replace(own, retry_at=learned.retry_at)
    return replace(memory, offerings=offerings)
