"""Policies to compare on traces: ours, which is ``decide_capacity`` itself, and what others do.

Owns the peers' rules, in our own words, as their documents say them. Each sees only what an operator sees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from daybreak_contracts.resources.deployment import Pool, Scaling
from daybreak_operator.core.capacity.decide import decide_capacity
from daybreak_operator.core.capacity.placement.layout import TUNING, Tuning
from daybreak_operator.core.capacity.simulate import ON_DEMAND, SPOT, Policy, Trace
from daybreak_operator.core.capacity.values import Demand, Held, Place, PlacementMemory

SPARE = 2
"""Spot replicas above the need of every peer that falls back to on-demand, as SkyServe has it."""
OUR_SPARE = 4
"""At most so many for ours, which pays for them only where they are worth it: four survive the loss of any one zone."""
REFUSED_S = 180
"""How long a refused zone is left alone by the cheapest-first policy: Karpenter's cache of insufficient capacity."""


class Daybreak:
    """Ours: the decision that runs live, with a pool of spot and one of on-demand over all zones of the trace."""

    def __init__(self, trace: Trace, replicas: int, tuning: Tuning = TUNING) -> None:
        self.replicas = replicas
        self.tuning = tuning
        self.memory = PlacementMemory()
        self.scaling = Scaling(spare_spot_replicas=OUR_SPARE)
        self.pools = pools_of(trace, replicas)

    def __call__(self, held: Sequence[Held], now: int) -> Mapping[Place, int]:
        """Return what ``decide_capacity`` wants."""
        decision = decide_capacity(
            self.pools,
            self.scaling,
            replicas=self.replicas,
            demand=Demand(),
            held=held,
            memory=self.memory,
            now=now,
            tuning=self.tuning,
        )
        self.memory = decision.memory
        return decision.desired


def pools_of(trace: Trace, replicas: int) -> tuple[Pool, ...]:
    """Return one pool per spot price, and one of on-demand."""
    by_price: dict[float, list[str]] = {}
    for zone in trace.zones:
        by_price.setdefault(trace.price((SPOT, zone)), []).append(zone)
    most = 2 * (replicas + OUR_SPARE)
    spot = [
        Pool(
            name=SPOT if len(by_price) == 1 else f"{SPOT}-{index}",
            accelerator="gpu",
            zones=tuple(zones),
            market="Spot",
            price_per_hour=f"{price:.4f}",
            max=most,
        )
        for index, (price, zones) in enumerate(sorted(by_price.items()))
    ]
    on_demand = Pool(name=ON_DEMAND, accelerator="gpu", zones=trace.zones, price_per_hour="1", max=replicas)
    return (*spot, on_demand)


class ZoneRule(Protocol):
    """Names the zones of further spot replicas."""

    def __call__(self, spot: Counter[str], refused: set[str], missing: int, now: int) -> Iterable[str]:
        """Return ``missing`` zones; ``spot`` says what answers where, ``refused`` where the last launch failed."""


@dataclass
class Peer:
    """What the peers share: their rule names the zone of each further replica; spare and fallback if wanted."""

    trace: Trace
    replicas: int
    rule: ZoneRule
    fallback: bool

    def __call__(self, held: Sequence[Held], now: int) -> Mapping[Place, int]:
        """Keep what answers, ask by the rule for what is missing, fill the gap on demand if there is fallback."""
        spot = Counter({one.zone: len(one.ready) for one in held if one.pool == SPOT and one.ready})
        refused = {one.zone for one in held if one.pool == SPOT and one.pending}
        wanted = self.replicas + (SPARE if self.fallback else 0)
        asked = Counter(self.rule(spot, refused, max(0, wanted - spot.total()), now))
        gap = max(0, self.replicas - spot.total()) if self.fallback else 0
        desired: dict[Place, int] = {(SPOT, zone): number for zone, number in (spot + asked).items()}
        desired[ON_DEMAND, self.trace.zones[0]] = gap
        return desired


class SingleZone:
    """Everything in one zone: the one that has capacity most often, which no one knows beforehand."""

    def __init__(self, trace: Trace) -> None:
        self.zone = max(trace.zones, key=lambda zone: sum(map(bool, trace.capacity[zone])))

    def __call__(self, spot: Counter[str], refused: set[str], missing: int, now: int) -> Iterable[str]:
        """Return that zone."""
        return [self.zone] * missing


class RoundRobin:
    """Each further replica goes to the next zone."""

    def __init__(self, trace: Trace) -> None:
        self.zones = trace.zones
        self.turn = 0

    def __call__(self, spot: Counter[str], refused: set[str], missing: int, now: int) -> Iterable[str]:
        """Return the next zones in turn."""
        chosen = [self.zones[(self.turn + number) % len(self.zones)] for number in range(missing)]
        self.turn += missing
        return chosen


class CheapestFirst:
    """The cheapest zone that did not refuse in the last three minutes, as Karpenter's cache has it."""

    def __init__(self, trace: Trace) -> None:
        self.zones = sorted(trace.zones, key=lambda zone: trace.price((SPOT, zone)))
        self.refused_at: dict[str, int] = {}

    def __call__(self, spot: Counter[str], refused: set[str], missing: int, now: int) -> Iterable[str]:
        """Return the cheapest zone that is not in the cache for all of them; none while all are."""
        self.refused_at.update(dict.fromkeys(refused, now))
        free = (zone for zone in self.zones if now - self.refused_at.get(zone, -REFUSED_S) >= REFUSED_S)
        zone = next(free, None)
        return [] if zone is None else [zone] * missing


class SpotPlacer:
    """SkyServe's placer (arXiv 2411.01438): zones are active or preempted; a new replica goes to an active one.

    Of the active ones the least used; a zone that refused or lost a replica is preempted until a launch there comes
    up, and when fewer than two are active all are taken for active again.
    """

    def __init__(self, trace: Trace) -> None:
        self.zones = trace.zones
        self.preempted: set[str] = set()
        self.before: Counter[str] = Counter()

    def __call__(self, spot: Counter[str], refused: set[str], missing: int, now: int) -> Iterable[str]:
        """Return the least used active zones."""
        lost = {zone for zone, number in self.before.items() if spot[zone] < number}
        self.preempted = (self.preempted | refused | lost) - {
            zone for zone in spot if zone not in refused | lost
        }
        if len(self.zones) - len(self.preempted) < 2:
            self.preempted = set()
        use = Counter(spot)
        chosen = []
        for _ in range(missing):
            active = [zone for zone in self.zones if zone not in self.preempted]
            zone = min(active, key=lambda one: use[one])
            use[zone] += 1
            chosen.append(zone)
        self.before = Counter(spot)
        return chosen


OURS = "daybreak"
RULES: Mapping[str, Callable[[Trace], ZoneRule]] = {
    "single-zone": SingleZone,
    "round-robin": RoundRobin,
    "cheapest": CheapestFirst,
    "skyserve": SpotPlacer,
}
FALLBACK = "+fallback"
"""With two spare replicas and the gap on demand; without it a policy has neither."""
NAMES = (OURS, *(f"{name}{suffix}" for name in RULES for suffix in ("", FALLBACK)))


def policy_named(name: str, trace: Trace, replicas: int, tuning: Tuning = TUNING) -> Policy:
    """Return a fresh policy by its name, one of ``NAMES``."""
    if name == OURS:
        return Daybreak(trace, replicas, tuning)
    rule = RULES[name.removesuffix(FALLBACK)](trace)
    return Peer(trace, replicas, rule, name.endswith(FALLBACK))
