"""A cloud made of a trace, and the run of a policy through it: availability, cost, failed launches.

Owns the rules of that cloud; policies see what an operator would see, nothing of the trace. A launch takes one step
and comes up only if its zone has capacity at both ends of it; on-demand always comes up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from daybreak_operator.core.capacity.values import Held, Pending, Place

SPOT = "spot"
ON_DEMAND = "on-demand"
SPOT_PRICE = 0.33
"""Of a V100, as a share of on-demand: the price that the published comparisons use."""


@dataclass(frozen=True)
class Trace:
    """How many spot replicas each zone could carry at each step."""

    name: str
    step_s: int
    capacity: Mapping[str, Sequence[int]]
    """Zone to one number per step; all of one length. In a trace of zeros and ones, one stands for enough."""
    prices: Mapping[str, float] = field(default_factory=dict)
    """Zone to its spot price as a share of on-demand; 0.33 where none is given."""

    @property
    def zones(self) -> tuple[str, ...]:
        """Return the zones in their order."""
        return tuple(self.capacity)

    @property
    def num_steps(self) -> int:
        """Return the number of steps."""
        return len(next(iter(self.capacity.values())))

    def price(self, place: Place) -> float:
        """Return the price of one replica, on-demand = 1."""
        return 1.0 if place[0] == ON_DEMAND else self.prices.get(place[1], SPOT_PRICE)

    def part(self, begin: int, end: int) -> Trace:
        """Return the steps from ``begin`` up to, not including, ``end``."""
        capacity = {zone: series[begin:end] for zone, series in self.capacity.items()}
        return Trace(self.name, self.step_s, capacity, self.prices)


class Policy(Protocol):
    """Something that says how many replicas each place shall have."""

    def __call__(self, held: Sequence[Held], now: int) -> Mapping[Place, int]:
        """Return the replicas wanted; a place that is left out gets none."""


@dataclass(frozen=True)
class ReplayResult:
    """What came of a run."""

    all_ready: float
    """Share of steps with as many ready as are needed."""
    any_ready: float
    """Share of steps with at least one ready."""
    cost: float
    """Paid, as a share of the need on on-demand all the time."""
    failed_launches: int
    launches: int
    steps: int


@dataclass
class Stand:
    """What one place holds in the simulated cloud."""

    ready: list[int] = field(default_factory=list)
    """Since when each answers."""
    coming: list[bool] = field(default_factory=list)
    """Asked for in the last step; whether there was capacity."""
    refused: int = 0


class Cloud:
    """The state of the simulated cloud."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.binary = max(max(series) for series in trace.capacity.values()) <= 1
        self.stands: dict[Place, Stand] = {}
        self.failed = 0
        self.launches = 0

    def room(self, place: Place, step: int) -> int:
        """Return how many replicas a place can carry at a step."""
        if place[0] == ON_DEMAND:
            return 1_000_000
        number = self.trace.capacity[place[1]][step]
        return number * 1_000_000 if self.binary else number

    def pass_step(self, step: int) -> None:
        """Take away what has no capacity any more, bring up what was asked for, refuse the rest."""
        for place, stand in self.stands.items():
            room = self.room(place, step)
            del stand.ready[room:]
            up = min(sum(stand.coming), room - len(stand.ready))
            stand.refused = len(stand.coming) - up
            self.failed += stand.refused
            stand.ready += [step * self.trace.step_s] * up
            stand.coming = []

    def held(self, now: int) -> list[Held]:
        """Return what an operator sees."""
        asked = now - self.trace.step_s
        return [
            Held(*place, tuple(map(float, stand.ready)), (Pending(asked, refused=True),) * stand.refused)
            for place, stand in self.stands.items()
            if stand.ready or stand.refused
        ]

    def carry_out(self, desired: Mapping[Place, int], step: int) -> None:
        """Launch what is missing and end what is too much, the youngest first."""
        for place in {*desired, *self.stands}:
            stand = self.stands.setdefault(place, Stand())
            wanted = desired.get(place, 0)
            del stand.ready[wanted:]
            missing = wanted - len(stand.ready)
            room = self.room(place, step) - len(stand.ready)
            stand.coming = [number < room for number in range(missing)]
            self.launches += missing

    def cost(self) -> float:
        """Return what is paid for this step: also for replicas that are still starting."""
        return sum(
            self.trace.price(place) * (len(stand.ready) + sum(stand.coming))
            for place, stand in self.stands.items()
        )


def simulate(trace: Trace, policy: Policy, replicas: int) -> ReplayResult:
    """Return what comes of a policy that must keep so many replicas ready. The first launches count as not ready."""
    cloud = Cloud(trace)
    enough = some = 0
    paid = 0.0
    for step in range(trace.num_steps):
        cloud.pass_step(step)
        ready = sum(len(stand.ready) for stand in cloud.stands.values())
        enough += ready >= replicas
        some += ready >= 1
        now = step * trace.step_s
        cloud.carry_out(policy(cloud.held(now), now), step)
        paid += cloud.cost()
    steps = trace.num_steps
    return ReplayResult(
        enough / steps, some / steps, paid / steps / replicas, cloud.failed, cloud.launches, steps
    )
