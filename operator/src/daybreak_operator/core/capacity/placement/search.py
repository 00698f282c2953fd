"""The best way to spread the base (spot and reserved replicas) over what can be had now.

Owns a local search over replicas per offering: one more, one fewer, or one moved, whatever lowers the cost most.
Says where placement should get to; placement decides what of it is done now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from daybreak_operator.core.capacity.placement.layout import Layout, Option
from daybreak_operator.core.capacity.placement.odds import Group

PROBED = 2
"""New places looked at in one step of the search: the cheapest for what is likely to come up there."""
SMALL = 8
"""Beyond so many replicas they are many in every zone, and adding where it helps most is spread enough."""

Move = tuple[int | None, int | None]
"""Index of the option that loses a replica, and of the one that gets it."""


class Arrangement:
    """Replicas per option of the base while the search goes on."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.options = layout.base
        self.start = [layout.count(option) for option in self.options]
        self.counts = list(self.start)
        self.sure = layout.standing()
        self.pools = Counter(
            {option.offering.pool: layout.in_pool(option.offering.pool) for option in self.options}
        )
        spare = layout.limits.spare if any(option.is_spot for option in self.options) else 0
        self.promise = [option.offering.price / max(option.come, 0.05) for option in self.options]
        self.growing = False
        """Whether only moves that add are looked at."""
        self.most = max(0, layout.limits.needed + spare - self.sure)

    def clear(self) -> None:
        """Begin from nothing but the pools' minima, adding only."""
        self.growing = True
        for index, option in enumerate(self.options):
            while self.may_lose(index, option):
                self.make((index, None))

    def groups(self) -> list[Group]:
        """Return what comes and falls together."""
        groups: list[Group] = [(1.0, self.sure)]
        for option, count, start in zip(self.options, self.counts, self.start, strict=True):
            if count:
                groups += option.groups(count - start + self.layout.extra[option.place])
        return groups

    def price(self) -> float:
        """Return what the counts are expected to cost (price per hour)."""
        return sum(
            option.price_of_one * count
            for option, count in zip(self.options, self.counts, strict=True)
            if count
        )

    def cost(self) -> float:
        """Return price and risk of the counts as they are (price per hour)."""
        layout = self.layout
        price = self.price()
        zones: dict[str, int] = {}
        for option, count, start in zip(self.options, self.counts, self.start, strict=True):
            if not count:
                continue
            zone = option.offering.zone
            zones[zone] = zones.get(zone, 0) + count
            if not option.ready and count > start:
                price += layout.tuning.probe * layout.unit * (1.0 - option.come) * (count - start)
        limit = layout.share_of(max(layout.limits.needed, sum(self.counts)))
        crowd = sum(max(0, count - limit) for count in zones.values())
        return price + layout.cost_of(self.groups()) + layout.tuning.crowd * layout.unit * crowd

    def moves(self) -> Iterator[Move]:
        """Yield the changes by one replica that the rules allow: one more, or one moved away from where most are."""
        gains = self.gainers()
        if sum(self.counts) < self.most:
            yield from ((None, index) for index in gains if self.has_room(index))
        if self.growing:
            return
        most = max(self.counts, default=0)
        for loser, option in enumerate(self.options):
            if self.counts[loser] < max(most, 1) or not self.may_lose(loser, option):
                continue
            for gainer in gains:
                same = option.offering.pool == self.options[gainer].offering.pool
                if loser != gainer and (same or self.has_room(gainer)):
                    yield loser, gainer

    def gainers(self) -> list[int]:
        """Return where one more may be asked for: all places with something, and the most promising two without.

        Of equals the first is taken: the one in the zone that holds least, on-demand that fills a gap counted too.
        """
        allowed = [index for index, option in enumerate(self.options) if self.may_get(index, option)]
        held = self.held_by_zone()
        used = [index for index in allowed if self.options[index].ready or self.counts[index]]
        used.sort(key=lambda index: held[self.options[index].offering.zone])
        new = sorted(set(allowed).difference(used), key=lambda index: (self.promise[index], index))
        return used + new[:PROBED]

    def held_by_zone(self) -> Counter[str]:
        """Return the replicas of every zone, of all markets."""
        held: Counter[str] = Counter()
        for option in self.layout.on_demand:
            held[option.offering.zone] += self.layout.count(option)
        for option, count in zip(self.options, self.counts, strict=True):
            held[option.offering.zone] += count
        return held

    def may_get(self, index: int, option: Option) -> bool:
        """Return whether one more may be asked for: within what is held, or by a launch that is allowed."""
        return self.counts[index] < self.start[index] or self.layout.may_try(
            option, self.counts[index] - option.ready
        )

    def has_room(self, index: int) -> bool:
        """Return whether the option's pool is below its maximum."""
        pool = self.options[index].offering.pool
        return self.pools[pool] < self.layout.limits.high[pool]

    def may_lose(self, index: int, option: Option) -> bool:
        """Return whether one may go."""
        pool = option.offering.pool
        return self.counts[index] > 0 and self.pools[pool] > self.layout.limits.low[pool]

    def make(self, move: Move, sign: int = 1) -> None:
        """Carry a move out, or take it back (sign -1)."""
        for index, number in zip(move, (-sign, sign), strict=True):
            if index is not None:
                self.counts[index] += number
                self.pools[self.options[index].offering.pool] += number


def best_move(arrangement: Arrangement, cost: float) -> tuple[Move, float] | None:
    """Return the move that lowers the cost most, with the cost after it; None when none does."""
    best = None
    lowest = cost - 1e-9
    margin = arrangement.layout.tuning.margin
    for move in arrangement.moves():
        arrangement.make(move)
        after = arrangement.cost()
        arrangement.make(move, -1)
        loser = move[0]
        if loser is not None and arrangement.counts[loser] <= arrangement.start[loser]:
            after += margin * arrangement.options[loser].offering.price
        if after < lowest:
            best, lowest = move, after
    return None if best is None else (best, lowest)


def improve(arrangement: Arrangement) -> tuple[float, list[int]]:
    """Carry out best moves until none is left; return the cost and the indices that got a replica, in order."""
    gained = []
    cost = arrangement.cost()
    for _ in range(2 * arrangement.most + 2):
        found = best_move(arrangement, cost)
        if found is None:
            break
        arrangement.make(found[0])
        cost = arrangement.cost()
        if found[0][1] is not None:
            gained.append(found[0][1])
    return cost, gained


def launches_of(layout: Layout) -> list[Option]:
    """Return the options of the base where one more shall be asked for, the most useful first.

    Searched from what is held and from nothing: four replicas in one zone are a valley that single moves do not
    leave. What is held wins unless the other is better by more than the margin.
    """
    if not layout.base:
        return []
    held, fresh = Arrangement(layout), Arrangement(layout)
    if held.cost() - held.price() <= layout.tuning.margin * min(one.price_of_one for one in layout.base):
        return []  # no move can gain more than there is to fear
    if layout.limits.needed > SMALL:
        held.growing = True
        return launches_from(held, improve(held)[1])
    fresh.clear()
    cost, gained = improve(held)
    other_cost, other_gained = improve(fresh)
    chosen = held
    if other_cost + layout.tuning.margin * layout.unit < cost:
        chosen, gained = fresh, other_gained
    return launches_from(chosen, gained)


def launches_from(arrangement: Arrangement, gained: list[int]) -> list[Option]:
    """Return the options that got more than they hold, once for each, in the order in which they got it."""
    launches = []
    left = [count - start for count, start in zip(arrangement.counts, arrangement.start, strict=True)]
    for index in gained:
        if left[index] > 0:
            left[index] -= 1
            launches.append(arrangement.options[index])
    return launches
