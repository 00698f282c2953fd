"""From the gateways' metrics to the number of replicas that must answer.

Owns the arithmetic of the load and the slowness of going down. Knows nothing of zones, markets or prices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from daybreak_contracts.metrics_snapshot import GatewaySnapshot
from daybreak_operator.core.capacity.values import Demand, PlacementMemory

EWMA_S = 10.0
"""A rise is seen by a moving average over ten seconds; the mean of the minute keeps a short lull from hiding it."""
WINDOW_S = 60
QUANTILE = 1.65
"""Square-root staffing (Halfin and Whitt) for the 90th to 95th percentile: offered load + 1.65 standard deviations."""
DISPERSION_MAX = 10.0
"""Bursty arrivals vary more than Poisson's; beyond this the estimate from one minute is noise."""
STALE_S = 15.0
"""Older metrics never lead to fewer replicas."""
QUEUE_S = 0.020
"""Requests shall wait no longer than this (95th percentile); five times as long counts as an emergency."""
PAUSE_S = 30
"""Between two steps down, so that the gateways' metrics show what the first one did."""
DOWN_UTILIZATION = 0.8
"""After a step down the replicas must stay below this share of what counts as full."""


def demand_of(
    snapshots: Sequence[GatewaySnapshot], *, gateways: int, slots: int, floor: int, now: float
) -> Demand:
    """Return the load over all gateways; ``age_s`` is None unless each of the expected gateways answered."""
    seconds = [reading.arrivals_by_second[-WINDOW_S:] for reading in snapshots]
    longest = max((len(one) for one in seconds), default=0)
    summed = tuple(
        float(sum(one[-back] for one in seconds if len(one) >= back)) for back in range(longest, 0, -1)
    )
    answered = sum(reading.recent_requests for reading in snapshots)
    complete = len(snapshots) >= max(1, gateways)
    return Demand(
        arrivals_by_second=summed,
        service_s=sum(reading.recent_seconds for reading in snapshots) / answered if answered else None,
        inflight=float(sum(reading.inflight for reading in snapshots)),
        waiting=float(sum(reading.held for reading in snapshots)),
        queue_p95_s=max((reading.queue_p95_ms for reading in snapshots), default=0.0) / 1000.0,
        age_s=max(0.0, now - min(reading.at for reading in snapshots)) if complete else None,
        slots=slots,
        floor=floor,
    )


def arrival_rate(arrivals: Sequence[float]) -> float:
    """Return requests a second: the larger of the ten-second moving average and the mean of the window."""
    if not arrivals:
        return 0.0
    weights = [math.exp(-back / EWMA_S) for back in range(len(arrivals))]
    recent = sum(weight * count for weight, count in zip(weights, reversed(arrivals), strict=True))
    return max(recent / sum(weights), sum(arrivals) / len(arrivals))


def dispersion(arrivals: Sequence[float]) -> float:
    """Return variance over mean of the counts per second, between 1 (Poisson) and 10."""
    mean = sum(arrivals) / len(arrivals) if arrivals else 0.0
    if mean <= 0.0:
        return 1.0
    variance = sum((count - mean) ** 2 for count in arrivals) / len(arrivals)
    return min(DISPERSION_MAX, max(1.0, variance / mean))


def slots_needed(arrivals: Sequence[float], service_s: float) -> float:
    """Return the slots for a load of a = rate x service time (Erlang): a + 1.65 x sqrt(a x dispersion).

    100 requests a second of 0.2 s each, evenly: a = 20, so 27.4 slots.
    """
    load = arrival_rate(arrivals) * service_s
    return load + QUANTILE * math.sqrt(load * dispersion(arrivals))


def replicas_needed(demand: Demand, utilization: float, ready: int) -> int:
    """Return the replicas for the load now, with neither bounds nor slowness."""
    by_rate = slots_needed(demand.arrivals_by_second, demand.service_s or 0.0) / demand.slots
    by_use = (demand.inflight + demand.waiting) / (utilization * demand.slots)
    needed = math.ceil(max(by_rate, by_use) - 1e-9)
    if demand.queue_p95_s > 5 * QUEUE_S:
        needed = max(needed, 2 * ready)
    elif demand.queue_p95_s > QUEUE_S:
        needed = max(needed, math.ceil(1.5 * ready))
    return max(needed, demand.floor)


@dataclass(frozen=True)
class ReplicaBounds:
    """What the manifest says of the number of replicas."""

    low: int
    """Sum of the pools' minima."""
    high: int
    """Sum of the pools' maxima."""
    utilization: float
    scale_down_s: int
    pause_s: int = PAUSE_S

    def hold(self, replicas: int) -> int:
        """Return the number, moved between the bounds."""
        return max(self.low, min(self.high, replicas))


def is_stale(demand: Demand) -> bool:
    """Return whether the metrics are too old, or too few, to go down by."""
    return demand.age_s is None or demand.age_s > STALE_S


def settle(
    demand: Demand, fixed: int | None, bounds: ReplicaBounds, *, ready: int, memory: PlacementMemory, now: int
) -> PlacementMemory:
    """Return the memory with ``needed``: up at once, down one at a time once the load has been low long enough.

    A fixed number is taken as it is. Stale metrics may still ask for more, never for less.
    """
    if fixed is not None:
        return replace(memory, needed=bounds.hold(fixed), low_since=None)
    wanted = bounds.hold(replicas_needed(demand, bounds.utilization, ready))
    before = bounds.hold(memory.needed if memory.needed is not None else max(wanted, ready))
    if wanted >= before:
        return replace(memory, needed=wanted, low_since=None)
    if is_stale(demand):
        return replace(memory, needed=before, low_since=None)
    since = now if memory.low_since is None else memory.low_since
    busy = (demand.inflight + demand.waiting) / (bounds.utilization * demand.slots * max(1, before - 1))
    if now - since < bounds.scale_down_s or (before > 1 and busy >= DOWN_UTILIZATION):
        return replace(memory, needed=before, low_since=since)
    return replace(memory, needed=before - 1, low_since=now - bounds.scale_down_s + bounds.pause_s)
