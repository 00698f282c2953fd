"""A number of replicas for every offering, its price, and what it risks.

Owns the cost that placement lowers: price plus what the chance of a shortage costs. Chooses nothing by itself.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from daybreak_operator.core.capacity.demand import PAUSE_S
from daybreak_operator.core.capacity.placement.odds import Group, odds_of
from daybreak_operator.core.capacity.placement.offerings import PATIENCE, Offering, Patience
from daybreak_operator.core.capacity.values import Place


@dataclass(frozen=True)
class Tuning:
    """What shortage costs, in the dearest offering's prices per hour, and how patient placement is."""

    short: float = 180.0
    """Price of being certain to have too few, whatever the number missing."""
    missing: float = 10.0
    """Price of each replica that is missing on average: leads out of shortages that one replica cannot end."""
    none: float = 300.0
    """Further price of having none at all."""
    crowd: float = 0.05
    """Price of each replica beyond its zone's share."""
    probe: float = 0.5
    """Price of a launch that does not come up: it costs others' time and the cloud's patience."""
    lead_s: float = 195.0
    """How long a launch takes until it answers; losses within this time cannot be mended before."""
    attempts: int = 2
    """Launches at once in one offering."""
    probes: int = 2
    """Launches at once over all spot offerings of which nothing is up."""
    fallback_s: int = 60
    """After this long with too few, on-demand fills the gap whatever else is hoped for."""
    release_s: int = 600
    """On-demand goes after enough others have answered this long."""
    margin: float = 0.2
    """Share of its price that a replica must be worth giving up for: keeps placement from wavering."""
    pause_s: int = PAUSE_S
    patience: Patience = PATIENCE


TUNING = Tuning()


@dataclass(frozen=True)
class Option:
    """An offering with what is held in it and what to expect of it now."""

    offering: Offering
    ready: int
    waiting: int
    stay: float
    """Chance that what is up is still up after the lead time."""
    come: float
    """Chance that a launch comes up where nothing is up."""
    retry_at: int | None = None
    """Set while it backs off."""
    placed: int = 0
    """Of those waiting, the ones that have a machine and only load."""

    @cached_property
    def place(self) -> Place:
        """Return the key of its offering."""
        return self.offering.place

    @cached_property
    def is_spot(self) -> bool:
        """Return whether it may be taken away."""
        return self.offering.market == "Spot"

    @cached_property
    def is_base(self) -> bool:
        """Return whether it is what the load should stand on: all but on-demand."""
        return self.offering.market != "OnDemand"

    def groups(self, extra: int) -> Iterable[Group]:
        """Return what comes or falls together here, with ``extra`` more (or fewer, negative) replicas."""
        waiting = self.waiting + extra
        ready = self.ready + min(0, waiting)
        waiting = max(0, waiting)
        if self.is_spot:
            return ((self.stay if self.ready else self.come * self.stay, ready + waiting),)
        return ((1.0, ready), (self.come, waiting))

    @cached_property
    def price_of_one(self) -> float:
        """Return what one more replica is expected to cost: nothing where it is expected not to come up."""
        return self.offering.price * (self.stay if self.ready and self.is_spot else self.come)


@dataclass(frozen=True)
class PlacementLimits:
    """What the manifest allows."""

    needed: int
    spare: int
    """Spot replicas above the need at most."""
    zone_share: float
    low: Mapping[str, int]
    """Pool to its minimum."""
    high: Mapping[str, int]
    """Pool to its maximum."""


class Layout:
    """Replicas per option while a decision is made; changed one replica at a time."""

    def __init__(self, options: Sequence[Option], limits: PlacementLimits, tuning: Tuning = TUNING) -> None:
        self.options = options
        self.limits = limits
        self.tuning = tuning
        self.extra: dict[Place, int] = {option.place: 0 for option in options}
        self.unit = max((option.offering.price for option in options), default=0.0) or 1.0
        self.sums: Counter[tuple[str, str | bool]] = Counter()
        for option in options:
            self.tally(option, option.ready + option.waiting)
        self.base = [one for one in options if one.is_base]
        self.on_demand = [one for one in options if not one.is_base]
        self.zones = len({option.offering.zone for option in options})

    def tally(self, option: Option, number: int) -> None:
        """Keep the sums by pool, zone and market."""
        for key in (("pool", option.offering.pool), ("zone", option.offering.zone), ("base", option.is_base)):
            self.sums[key] += number

    def add(self, option: Option, number: int = 1) -> None:
        """Ask for more, or give up some (negative)."""
        self.extra[option.place] += number
        self.tally(option, number)

    def sure(self, *, base: bool | None = None) -> int:
        """Return the replicas that answer or have a machine at least."""
        return self.ready(base=base) + sum(one.placed for one in self.chosen(base))

    def chosen(self, base: bool | None) -> Sequence[Option]:
        """Return the options that are (or are not) base, or all."""
        if base is None:
            return self.options
        return self.base if base else self.on_demand

    def count(self, option: Option) -> int:
        """Return the replicas of an option: those that answer, wait, and are asked for."""
        return option.ready + option.waiting + self.extra[option.place]

    def total(self, *, base: bool | None = None) -> int:
        """Return the replicas of all options, or of those that are (or are not) base."""
        if base is None:
            return self.sums["base", True] + self.sums["base", False]
        return self.sums["base", base]

    def ready(self, *, base: bool | None = None) -> int:
        """Return the replicas that answer and are kept."""
        return sum(one.ready + min(0, one.waiting + self.extra[one.place]) for one in self.chosen(base))

    def standing(self) -> int:
        """Return the on-demand replicas that are there whatever happens: their pools' minima."""
        return sum(self.limits.low[pool] for pool in {one.offering.pool for one in self.on_demand})

    def in_pool(self, pool: str) -> int:
        """Return the replicas of one pool."""
        return self.sums["pool", pool]

    def in_zone(self, zone: str) -> int:
        """Return the replicas in one zone."""
        return self.sums["zone", zone]

    def risk(
        self, sure: int = 0, *, base: bool | None = None, change: tuple[Place, int] | None = None
    ) -> float:
        """Return what the chance of a shortage costs (price per hour).

        ``sure`` replicas are there besides the options looked at; ``change`` is one place with more or fewer.
        """
        groups: list[Group] = [(1.0, sure)]
        for option in self.chosen(base):
            extra = self.extra[option.place]
            if change is not None and change[0] == option.place:
                extra += change[1]
            if option.ready or option.waiting or extra:
                groups += option.groups(extra)
        return self.cost_of(groups)

    def cost_of(self, groups: Iterable[Group]) -> float:
        """Return what the chance of a shortage costs (price per hour) with these groups."""
        odds = odds_of(groups, self.limits.needed)
        tuning = self.tuning
        return self.unit * (
            tuning.short * odds.short + tuning.missing * odds.missing + tuning.none * odds.none
        )

    def share_of(self, total: int) -> int:
        """Return how many of so many replicas one zone may hold: its share, rounded up."""
        return total if self.zones < 2 else max(1, math.ceil(self.limits.zone_share * total - 1e-9))

    def may_try(self, option: Option, attempts: int) -> bool:
        """Return whether one more launch may join those under way: back-off, attempts at once."""
        known = option.ready > 0 or not option.is_spot
        return option.retry_at is None and attempts < (self.tuning.attempts if known else 1)

    def may_add(self, option: Option, *, share: bool) -> bool:
        """Return whether one more may be asked for: back-off, attempts at once, pool, and the zone's share."""
        if not self.may_try(option, option.waiting + max(0, self.extra[option.place])):
            return False
        pool = option.offering.pool
        if self.in_pool(pool) >= self.limits.high[pool]:
            return False
        return not share or self.is_within_share(option)

    def is_within_share(self, option: Option) -> bool:
        """Return whether the option's zone has room for one more within its share.

        Of the base it is the share of the base as it shall stay: on-demand that only fills a gap, and replicas on the
        move, would let a zone grow beyond it.
        """
        zone, needed = option.offering.zone, self.limits.needed
        if not option.is_base:
            return self.in_zone(zone) < self.share_of(max(needed, self.total() + 1))
        there = sum(self.count(one) for one in self.base if one.offering.zone == zone)
        stays = min(self.total(base=True) + 1, needed + self.limits.spare)
        return there < self.share_of(max(needed, stays))

    def may_remove(self, option: Option) -> bool:
        """Return whether one may go: there is one, and its pool stays at its minimum or above."""
        pool = option.offering.pool
        return self.count(option) > 0 and self.in_pool(pool) > self.limits.low[pool]
