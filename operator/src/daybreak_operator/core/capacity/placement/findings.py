"""Why capacity is missing, in words: what becomes the CapacityAvailable condition and its events.

Texts change only when something happened, so that an idle minute writes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime

from daybreak_operator.core.capacity.placement.layout import Layout
from daybreak_operator.core.plan import Finding


def findings_of(layout: Layout, *, fixed: int | None, stale: bool) -> tuple[Finding, ...]:
    """Return what a person should know, the gravest first; empty when enough answer and nothing is odd."""
    found = [short(layout), too_small(layout, fixed), backing_off(layout), snapshots(stale)]
    return tuple(finding for finding in found if finding is not None)


def short(layout: Layout) -> Finding | None:
    """Fewer replicas answer than are needed."""
    ready, needed = layout.ready(), layout.limits.needed
    if ready >= needed:
        return None
    asked = sorted({option.offering.zone for option in layout.options if layout.count(option) > option.ready})
    where = f"asked for in {', '.join(asked)}" if asked else "no zone can be asked now"
    return Finding("CapacityShort", f"{ready} of {needed} replicas answer; {where}")


def too_small(layout: Layout, fixed: int | None) -> Finding | None:
    """A fixed number of replicas does not fit into the pools."""
    most = sum(layout.limits.high.values())
    if fixed is None or fixed <= most:
        return None
    return Finding(
        "PoolsTooSmall", f"replicas is {fixed}, but the pools' max add up to {most}: raise a pool's max"
    )


def backing_off(layout: Layout) -> Finding | None:
    """Offerings that gave nothing and are left alone for a while."""
    waits = [
        f"{option.offering.pool} in {option.offering.zone} until {clock(option.retry_at)}"
        for option in layout.options
        if option.retry_at is not None
    ]
    return Finding("BackingOff", f"no capacity; next try: {', '.join(waits)}") if waits else None


def snapshots(stale: bool) -> Finding | None:
    """The gateways' metrics are missing or old."""
    if not stale:
        return None
    return Finding(
        "StaleMetrics", "not every gateway told its load in the last 15 s: replicas are kept, not given up"
    )


def clock(moment: int) -> str:
    """Return the time of day, UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%SZ")
