"""The one entry point: from pools, load and what is held to the replicas of every pool and zone.

Owns the order of things: size, learn, ask, give up. The same call runs live and in the replay of traces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from daybreak_contracts.resources.deployment import Pool, Scaling
from daybreak_operator.core.capacity.demand import ReplicaBounds, is_stale, settle
from daybreak_operator.core.capacity.placement.findings import findings_of
from daybreak_operator.core.capacity.placement.layout import TUNING, Layout, Option, PlacementLimits, Tuning
from daybreak_operator.core.capacity.placement.odds import fall_chance
from daybreak_operator.core.capacity.placement.offerings import (
    Offering,
    alive,
    chance_of,
    has_failed,
    learn,
    offerings_of,
)
from daybreak_operator.core.capacity.placement.scale import scale_down, scale_up
from daybreak_operator.core.capacity.values import (
    CapacityDecision,
    Demand,
    Held,
    Learned,
    Place,
    PlacementMemory,
)


def decide_capacity(
    pools: Sequence[Pool],
    scaling: Scaling,
    *,
    replicas: int | None,
    demand: Demand,
    held: Sequence[Held],
    memory: PlacementMemory,
    now: float,
    tuning: Tuning = TUNING,
) -> CapacityDecision:
    """Return how many replicas each pool shall have in each zone, and what to remember of it.

    ``replicas`` fixes the need (spare spot replicas come on top, as ``scaling.spareSpotReplicas`` says); None follows
    ``demand``. ``held`` may leave out places with nothing; places of no pool are not decided about. ``now`` is Unix
    time. The same arguments give the same decision, and deciding again with the returned memory changes nothing.
    """
    at = int(now)
    by_place = {(one.pool, one.zone): one for one in held}
    offerings = offerings_of(pools)
    learnt = learn(offerings, by_place, memory.offerings, at, tuning.patience)
    options = [option_of(one, by_place, learnt[one.place], at, tuning) for one in offerings]
    ready = sum(option.ready for option in options)
    memory = settle(demand, replicas, bounds_of(pools, scaling, tuning), ready=ready, memory=memory, now=at)
    limits = limits_of(pools, scaling, memory.needed or 0)
    layout = Layout(options, limits, tuning)
    memory = watch(layout, memory, at)
    scale_up(layout, short_for_s=since(memory.short_since, at))
    idle = memory.surplus_since is not None and at - memory.surplus_since >= scaling.scale_down_seconds
    could_go = scale_down(layout, steady_for_s=since(memory.steady_since, at), idle=idle)
    if not could_go:
        memory = replace(memory, surplus_since=None)
    elif memory.surplus_since is None or idle:
        memory = replace(memory, surplus_since=at)
    desired = {option.place: layout.count(option) for option in options}
    known = {place: wanting(one, desired[place]) for place, one in learnt.items()}
    memory = replace(memory, offerings=known)
    return CapacityDecision(
        desired=desired,
        launches={place: number for place, number in layout.extra.items() if number > 0},
        needed=limits.needed,
        memory=memory,
        findings=findings_of(layout, fixed=replicas, stale=replicas is None and is_stale(demand)),
        cost_per_hour=cost_of(options, by_place),
        requeue_after_s=requeue_after_s(options, scaling, at),
    )


def option_of(
    offering: Offering, held: Mapping[Place, Held], learned: Learned, now: int, tuning: Tuning
) -> Option:
    """Return an offering with what is held there and what to expect of it."""
    own = held.get(offering.place, Held(*offering.place))
    age = 0 if learned.up_since is None else now - learned.up_since
    stay = 1.0 - fall_chance(age, tuning.lead_s) if offering.market == "Spot" else 1.0
    backing_off = learned.retry_at is not None and learned.retry_at > now
    return Option(
        offering=offering,
        ready=len(own.ready),
        waiting=alive(own, learned, now, tuning.patience),
        stay=stay,
        come=chance_of(learned, offering.market, now, tuning.patience),
        retry_at=learned.retry_at if backing_off else None,
        placed=sum(1 for one in own.pending if one.placed and not has_failed(one, now, tuning.patience)),
    )


def wanting(learned: Learned, desired: int) -> Learned:
    """Return what is known of an offering with what is wanted of it now."""
    return learned if learned.desired == desired else replace(learned, desired=desired)


def bounds_of(pools: Sequence[Pool], scaling: Scaling, tuning: Tuning) -> ReplicaBounds:
    """Return what the manifest says of the number of replicas."""
    return ReplicaBounds(
        low=sum(pool.min for pool in pools),
        high=sum(pool.max for pool in pools),
        utilization=float(scaling.target_utilization),
        scale_down_s=scaling.scale_down_seconds,
        pause_s=tuning.pause_s,
    )


def limits_of(pools: Sequence[Pool], scaling: Scaling, needed: int) -> PlacementLimits:
    """Return what placement must keep to. Nothing is spare where nothing is needed."""
    return PlacementLimits(
        needed=needed,
        spare=scaling.spare_spot_replicas if needed else 0,
        zone_share=float(scaling.max_zone_share),
        low={pool.name: pool.min for pool in pools},
        high={pool.name: pool.max for pool in pools},
    )


def watch(layout: Layout, memory: PlacementMemory, now: int) -> PlacementMemory:
    """Return the memory with the times since when too few answer, and more than enough with on-demand."""
    needed = layout.limits.needed
    short = layout.sure() < needed
    steady = layout.ready() > needed and layout.total(base=False) > layout.standing()
    return replace(
        memory,
        short_since=(now if memory.short_since is None else memory.short_since) if short else None,
        steady_since=(now if memory.steady_since is None else memory.steady_since) if steady else None,
    )


def since(moment: int | None, now: int) -> int:
    """Return the seconds since a moment; -1 when it is not so."""
    return -1 if moment is None else now - moment


def cost_of(options: Sequence[Option], held: Mapping[Place, Held]) -> float:
    """Return the price per hour of the machines held now: of replicas that answer, and that load."""
    cost = 0.0
    for option in options:
        own = held.get(option.place, Held(*option.place))
        cost += option.offering.price * (len(own.ready) + sum(1 for one in own.pending if one.placed))
    return round(cost, 6)


def requeue_after_s(options: Sequence[Option], scaling: Scaling, now: int) -> float:
    """Return the seconds until the next pass: the loop's interval, sooner when a zone may be tried again."""
    waits = [option.retry_at - now for option in options if option.retry_at is not None]
    return float(max(1, min([scaling.interval_seconds, *waits])))
