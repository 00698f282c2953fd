"""What capacity decisions remember, to and from the ModelDeployment's status.

Owns the mapping only. What comes back is what was put in, to the second, so an operator killed at any moment decides
the same after its restart; a status that lacks fields (an older operator wrote it) gives an empty memory there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from daybreak_contracts.resources.deployment import Pool
from daybreak_contracts.resources.deployment_status import CapacityStatus, ZoneStatus
from daybreak_operator.core.capacity.placement.offerings import offerings_of
from daybreak_operator.core.capacity.values import CapacityDecision, Held, Learned, PlacementMemory
from daybreak_operator.core.plan import Status


def zones_of(
    decision: CapacityDecision, pools: Sequence[Pool], held: Sequence[Held], now: float
) -> tuple[ZoneStatus, ...]:
    """Return ``status.zones``: every zone of every pool, with what is held, what was learnt, and its price."""
    by_place = {(one.pool, one.zone): one for one in held}
    zones = []
    for offering in offerings_of(pools):
        known = decision.memory.offerings.get(offering.place, Learned())
        own = by_place.get(offering.place, Held(*offering.place))
        backing_off = known.retry_at is not None and known.retry_at > now
        zones.append(
            ZoneStatus(
                pool=offering.pool,
                zone=offering.zone,
                ready=known.ready,
                pending=len(own.pending),
                state="BackingOff" if backing_off else "Open",
                retry_at=text_of(known.retry_at),
                price_per_hour=next(pool.price_per_hour for pool in pools if pool.name == offering.pool),
                desired=known.desired,
                failures=known.failures,
                success=None if known.success is None else f"{known.success:.3f}",
                success_at=text_of(known.success_at),
                failed_at=text_of(known.failed_at),
                came_up_at=text_of(known.came_up),
                up_since=text_of(known.up_since),
            )
        )
    return tuple(zones)


def capacity_of(memory: PlacementMemory) -> CapacityStatus:
    """Return ``status.capacity``."""
    return CapacityStatus(
        needed=memory.needed,
        low_since=text_of(memory.low_since),
        short_since=text_of(memory.short_since),
        steady_since=text_of(memory.steady_since),
        surplus_since=text_of(memory.surplus_since),
    )


def memory_of(status: Status) -> PlacementMemory:
    """Return the memory that a stored status holds; an empty one from an empty status."""
    capacity = status.get("capacity") or {}
    return PlacementMemory(
        offerings={(zone["pool"], zone["zone"]): learned_of(zone) for zone in status.get("zones") or ()},
        needed=capacity.get("needed"),
        low_since=moment_of(capacity.get("lowSince")),
        short_since=moment_of(capacity.get("shortSince")),
        steady_since=moment_of(capacity.get("steadySince")),
        surplus_since=moment_of(capacity.get("surplusSince")),
    )


def learned_of(zone: Status) -> Learned:
    """Return what one entry of ``status.zones`` remembers."""
    success = zone.get("success")
    return Learned(
        ready=zone.get("ready", 0),
        desired=zone.get("desired", 0),
        up_since=moment_of(zone.get("upSince")),
        came_up=moment_of(zone.get("cameUpAt")),
        success=None if success is None else float(success),
        success_at=moment_of(zone.get("successAt")),
        failures=zone.get("failures", 0),
        failed_at=moment_of(zone.get("failedAt")),
        retry_at=moment_of(zone.get("retryAt")),
    )


def text_of(moment: int | None) -> str | None:
    """Return a time as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_of(text: str | None) -> int | None:
    """Return the Unix time of such a text."""
    return None if text is None else int(datetime.fromisoformat(text).timestamp())
