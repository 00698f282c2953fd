"""What is learnt of each offering (pool, zone): whether launches come up there, and when to try again.

Owns success, back-off and siblings. Does not choose: placement reads what is here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from daybreak_contracts.resources.deployment import Pool
from daybreak_operator.core.capacity.values import Held, Learned, Market, Pending, Place

HALF_LIFE_S = 1800.0
PRIORS: Mapping[Market, float] = {"Spot": 0.5, "OnDemand": 0.95, "Reserved": 0.95}
"""Chance of a launch of which nothing is known; what was learnt decays towards it by half every half hour."""
FAILURES_THAT_HALVE = 4.0
"""In the V100 trace a zone that was out for an hour has capacity half an hour later one time in ten."""
BACKOFF_S = 120
BACKOFF_MAX_S = 1800
RESET_S = 10_800
"""Two minutes, doubled to half an hour, forgotten after three hours: about five probes of a dead offering in its
first hour, where a fixed three-minute cache gives twenty (Karpenter) and 5 to 30 minutes four (cluster-autoscaler)."""
SAME_ZONE_FACTOR = 0.5
SAME_ACCELERATOR_FACTOR = 0.8
"""A failure also speaks of its siblings: other pools in the zone, the same accelerator in other zones."""
UNPLACED_S = 180
"""A replica that has no machine after this long failed: autoscalers answer within a minute or two."""
PLACED_S = 1800
"""A replica that has a machine and does not answer after this long failed: image, weights, warm-up take minutes."""


@dataclass(frozen=True)
class Patience:
    """How long a launch is waited for, and a failed one not repeated. Seconds."""

    backoff_s: int = BACKOFF_S
    backoff_max_s: int = BACKOFF_MAX_S
    reset_s: int = RESET_S
    unplaced_s: int = UNPLACED_S
    placed_s: int = PLACED_S
    half_life_s: float = HALF_LIFE_S


PATIENCE = Patience()


@dataclass(frozen=True)
class Offering:
    """Something that can be asked for."""

    pool: str
    zone: str
    accelerator: str
    market: Market
    price: float

    @cached_property
    def place(self) -> Place:
        """Return the key: pool and zone."""
        return self.pool, self.zone


PRICES: Mapping[Market, float] = {"Reserved": 0.0, "Spot": 0.35, "OnDemand": 1.0}
"""Taken where no pool names a price: only their order and rough ratio matter."""


def offerings_of(pools: Iterable[Pool]) -> tuple[Offering, ...]:
    """Return every pool in every one of its zones, in the order of the manifest."""
    pools = tuple(pools)
    priced = any(float(pool.price_per_hour) for pool in pools)
    return tuple(
        Offering(
            pool.name,
            zone,
            pool.accelerator,
            pool.market,
            float(pool.price_per_hour) if priced else PRICES[pool.market],
        )
        for pool in pools
        for zone in dict.fromkeys(pool.zones)
    )


def chance_of(learned: Learned, market: Market, now: int, patience: Patience = PATIENCE) -> float:
    """Return the chance that a launch comes up: what was learnt, decayed towards the market's prior.

    A row of failures lowers the prior itself, to half after four: zones that were out for long stay out for long.
    """
    prior = PRIORS[market] / (1.0 + learned.failures / FAILURES_THAT_HALVE)
    if learned.success is None or learned.success_at is None:
        return prior
    age = max(0, now - learned.success_at)
    return float(prior + (learned.success - prior) * 2.0 ** (-age / patience.half_life_s))


def backoff_s(failures: int, patience: Patience = PATIENCE) -> int:
    """Return how long to wait after the n-th failure in a row: 120, 240, 480, 960, then 1800 seconds."""
    return min(patience.backoff_max_s, patience.backoff_s << min(max(failures, 1) - 1, 10))


def has_failed(pending: Pending, now: int, patience: Patience = PATIENCE) -> bool:
    """Return whether a replica that does not answer yet counts as failed."""
    limit = patience.placed_s if pending.placed else patience.unplaced_s
    return pending.refused or now - pending.since >= limit


def alive(held: Held, learned: Learned, now: int, patience: Patience = PATIENCE) -> int:
    """Return how many waiting replicas may still come up; those of an attempt that failed are given up."""
    floor = -1.0 if learned.failed_at is None else learned.failed_at
    waiting = [one for one in held.pending if not has_failed(one, now, patience)]
    return sum(1 for one in waiting if one.placed or one.since > floor)


def learn(
    offerings: Sequence[Offering],
    held: Mapping[Place, Held],
    memory: Mapping[Place, Learned],
    now: int,
    patience: Patience = PATIENCE,
) -> dict[Place, Learned]:
    """Return what is known after looking at what is held now. Looking again at the same changes nothing."""
    learnt = {}
    failed = []
    for offering in offerings:
        before = memory.get(offering.place, Learned())
        after = updated(offering, held.get(offering.place, Held(*offering.place)), before, now, patience)
        learnt[offering.place] = after
        if after.failures > before.failures:
            failed.append(offering)
    for offering in failed:
        for sibling in offerings:
            factor = sibling_factor(offering, sibling)
            if factor < 1.0 and sibling not in failed:
                known = learnt[sibling.place]
                chance = round(factor * chance_of(known, sibling.market, now, patience), 3)
                learnt[sibling.place] = replace(known, success=chance, success_at=now)
    return learnt


def sibling_factor(failed: Offering, other: Offering) -> float:
    """Return what is left of the other's chance when one failed: 1 when they have nothing in common."""
    if failed.place == other.place or failed.market != other.market:
        return 1.0
    if failed.zone == other.zone:
        return SAME_ZONE_FACTOR
    return SAME_ACCELERATOR_FACTOR if failed.accelerator == other.accelerator else 1.0


def updated(
    offering: Offering, held: Held, before: Learned, now: int, patience: Patience = PATIENCE
) -> Learned:
    """Return what one offering's replicas tell: a loss, then a success, then a failed attempt."""
    if before.retry_at is not None and now - before.retry_at >= patience.reset_s:
        before = replace(before, failures=0, retry_at=None)
    if not (held.ready or held.pending or before.ready):
        return before
    ready = len(held.ready)
    after = replace(before, ready=ready)
    placed = sum(1 for one in held.pending if one.placed)
    if offering.market == "Spot" and min(before.ready, before.desired) - ready - placed > 0:
        after = failed_once(after, now, patience)
    newest = int(max(held.ready, default=0))
    if ready and newest > (before.came_up or 0):
        after = replace(after, came_up=newest, success=1.0, success_at=now, failures=0, retry_at=None)
    kept = before.up_since if before.ready and before.up_since is not None else None
    oldest = int(min(held.ready, default=now))
    after = replace(after, up_since=min(oldest, kept or oldest) if ready else None)
    floor = -1 if before.failed_at is None else before.failed_at
    failed = [one.since for one in held.pending if has_failed(one, now, patience) and one.since > floor]
    if failed:
        # Their times are the API server's: where its clock is ahead of ours, they would fail again and again.
        after = replace(failed_once(after, now, patience), failed_at=max(now, int(max(failed))))
    return after


def failed_once(learned: Learned, now: int, patience: Patience) -> Learned:
    """Return the offering after one more failure: no chance for now, and a longer wait than the time before."""
    failures = learned.failures + 1
    retry_at = max(learned.retry_at or 0, now + backoff_s(failures, patience))
    return replace(learned, failures=failures, success=0.0, success_at=now, retry_at=retry_at)
