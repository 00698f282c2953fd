"""Where replicas go: what to ask for, what to keep, what to give up.

Owns the choice between zones and markets, by price and by the chance of being short when a launch could have come up.
Pure and greedy: every step takes the one change that lowers the expected cost most, so each can be explained.
"""

from __future__ import annotations

from collections.abc import Sequence

from daybreak_operator.core.capacity.placement.layout import Layout, Option
from daybreak_operator.core.capacity.placement.search import launches_of


def scale_up(layout: Layout, *, short_for_s: int) -> None:
    """Add what is worth asking for: the pools' minima, the base with its spare, on-demand for what is left to fear."""
    for pool in layout.limits.low:
        cut_to_maximum(layout, pool)
        fill_minimum(layout, pool)
    add_base(layout)
    add_on_demand(layout, short_for_s)


def cut_to_maximum(layout: Layout, pool: str) -> None:
    """Bring a pool down to its maximum: it was lowered, or somebody else scaled it up."""
    own = [one for one in layout.options if one.offering.pool == pool]
    while layout.in_pool(pool) > layout.limits.high[pool]:
        held = [one for one in own if layout.count(one) > 0]
        layout.add(max(held, key=lambda one: removal_gain(layout, one)), -1)


def fill_minimum(layout: Layout, pool: str) -> None:
    """Bring a pool to its minimum; where all its zones back off, the one to be tried first stays asked."""
    own = [one for one in layout.options if one.offering.pool == pool]
    while layout.in_pool(pool) < layout.limits.low[pool]:
        chosen = best_addition(layout, own, sure=0, base=None, forced=True)
        if chosen is None:
            chosen = min(own, key=lambda one: (one.retry_at or 0, layout.count(one), one.offering.zone))
        layout.add(chosen)


def add_base(layout: Layout) -> None:
    """Ask for spot and reserved replicas as if there were no on-demand beyond its minimum: that is to go again."""
    limits = layout.limits
    most = limits.needed + limits.spare - layout.standing()
    moving = (
        layout.tuning.attempts
    )  # a replica that moves is asked for in its new zone before the old one goes
    probes = sum(one.waiting for one in layout.base if one.is_spot and not one.ready)
    for option in launches_of(layout):
        is_probe = option.is_spot and not option.ready
        if is_probe and probes >= max(layout.tuning.probes, limits.needed // 2):
            continue
        crowded = (
            layout.total(base=True) + layout.standing() < limits.needed
        )  # better in one zone than too few
        if layout.total(base=True) < most + moving and layout.may_add(option, share=not crowded):
            layout.add(option)
            probes += is_probe


def add_on_demand(layout: Layout, short_for_s: int) -> None:
    """Ask for on-demand replicas where the base is too likely to fall short, or was short for too long."""
    limits = layout.limits
    others = layout.chosen(False)
    overdue = short_for_s >= layout.tuning.fallback_s
    while layout.total(base=False) < limits.needed:
        gap = limits.needed - layout.sure(base=True) - layout.total(base=False)
        chosen = best_addition(layout, others, sure=0, base=None, forced=overdue and gap > 0)
        if chosen is None:
            return
        layout.add(chosen)


def best_addition(
    layout: Layout, options: Sequence[Option], *, sure: int, base: bool | None, forced: bool = False
) -> Option | None:
    """Return the option where one more lowers the expected cost most; None when it does so nowhere.

    Keeps to the zones' share; only where that leaves nothing and too few are held, the share gives way.
    ``forced`` returns the best even when it raises the cost.
    """
    allowed = [option for option in options if layout.may_add(option, share=True)]
    if not allowed and (forced or layout.total() < layout.limits.needed):
        allowed = [option for option in options if layout.may_add(option, share=False)]
    if not allowed:
        return None
    now = layout.risk(sure, base=base)
    if not forced and now <= min(option.price_of_one for option in allowed):
        return None  # nothing can lower the risk by more than there is
    gains = {option.place: gain_of(layout, option, now, sure, base) for option in allowed}
    best = max(allowed, key=lambda one: (gains[one.place], -layout.in_zone(one.offering.zone)))
    return best if forced or gains[best.place] > 0.0 else None


def gain_of(layout: Layout, option: Option, now: float, sure: int, base: bool | None) -> float:
    """Return by how much one more replica lowers the expected cost (price per hour)."""
    gain = now - layout.risk(sure, base=base, change=(option.place, 1)) - option.price_of_one
    if option.is_spot and not option.ready:
        gain -= (1.0 - option.come) * layout.tuning.probe * layout.unit
    return gain


def scale_down(layout: Layout, *, steady_for_s: int, idle: bool) -> bool:
    """Give up what is not worth its price any more; return whether something could go once it was idle for long.

    More than the need with all its spare goes at once, dearest first. On-demand goes when enough others have been
    steady; a spare replica goes, one at a time, when ``idle``.
    """
    trim(layout)
    if steady_for_s >= layout.tuning.release_s:
        while (chosen := best_removal(layout, layout.chosen(False))) is not None:
            layout.add(chosen, -1)
    beyond = layout.total(base=False) - layout.standing()
    if beyond > 0 or any(number > 0 for number in layout.extra.values()):
        return False
    chosen = best_removal(layout, layout.chosen(True))
    if chosen is not None and idle:
        layout.add(chosen, -1)
    return chosen is not None


def trim(layout: Layout) -> None:
    """Bring either part down to the most it may ever be: on-demand to the need, the base to the need and its spare.

    Replicas on the move are above that until they answer in their new zone.
    """
    limits = layout.limits
    for base, most in ((False, limits.needed), (True, limits.needed + limits.spare)):
        moving = layout.tuning.attempts if base and limits.needed else 0
        while layout.ready(base=base) > most or layout.total(base=base) > most + moving:
            candidates = [one for one in layout.chosen(base) if layout.may_remove(one)]
            if not candidates:
                break
            layout.add(max(candidates, key=lambda one: removal_gain(layout, one)), -1)


def best_removal(layout: Layout, options: Sequence[Option]) -> Option | None:
    """Return the option where one fewer saves most beyond the risk it adds; None when none is worth it."""
    candidates = [
        one
        for one in options
        if layout.may_remove(one)
        and layout.ready() - (one.waiting + layout.extra[one.place] <= 0) >= layout.limits.needed
    ]
    if not candidates:
        return None
    gains = {one.place: removal_gain(layout, one) for one in candidates}
    best = max(candidates, key=lambda one: (gains[one.place], layout.in_zone(one.offering.zone)))
    return best if gains[best.place] > layout.tuning.margin * best.offering.price else None


def removal_gain(layout: Layout, option: Option) -> float:
    """Return by how much one replica fewer lowers the expected cost (price per hour)."""
    return option.offering.price - (layout.risk(change=(option.place, -1)) - layout.risk())
