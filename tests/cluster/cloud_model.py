"""What a small cloud decides: which machines to bring up for waiting pods, which to take back, which to refuse.

Pure: the time is an argument, a decision depends on nothing else than what it is given. `cloud.py` carries it out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.nodes import NodeSpec, labels_of
from tests.cluster.pods import Wish, accepts


@dataclass(frozen=True)
class Offering:
    """Machines of one kind in one zone and market. ``price_per_hour`` is of one machine, ``gpus`` in one machine."""

    zone: str
    accelerator: str = "nvidia-l4"
    market: str = "OnDemand"
    price_per_hour: float = 1.0
    gpus: int = 1
    cpus: int = 64
    taints: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """Zone, accelerator and market: what capacity is counted by."""
        return self.zone, self.accelerator, self.market

    def node(self, name: str) -> NodeSpec:
        """Return a machine of this kind."""
        return NodeSpec(
            name, self.zone, self.accelerator, self.market, self.gpus, self.cpus, taints=self.taints
        )


@dataclass(frozen=True)
class Change:
    """From this second on the zone has this many machines of a market; of one accelerator, or of any."""

    time: float
    zone: str
    market: str
    capacity: int
    accelerator: str | None = None

    def concerns(self, offering: Offering) -> bool:
        """Return whether the offering is what changes."""
        same = (self.zone, self.market) == (offering.zone, offering.market)
        return same and self.accelerator in (None, offering.accelerator)


@dataclass(frozen=True)
class Machine:
    """A machine of the cloud, from the moment it was asked for."""

    name: str
    offering: Offering
    asked_at: float
    free_gpus: int
    """Cards that no pod on it has."""
    free_cpus: float = 0.0
    idle_since: float | None = None
    """When its last pod went, or it came up; None while pods are on it."""
    notice_until: float | None = None
    """When it goes; None before it was given notice."""


@dataclass(frozen=True)
class Rules:
    """How this cloud behaves; all in seconds."""

    boot_s: float = 1.0
    notice_s: float = 5.0
    """GKE and Azure give 30, AWS 120 (their documentation of spot machines); tests have less time."""
    idle_s: float = 10.0


@dataclass(frozen=True)
class Launch:
    """Bring up a machine of an offering, for a pod."""

    offering: Offering
    pod: str


@dataclass(frozen=True)
class Refuse:
    """Tell a pod that no machine comes for it, and why."""

    pod: str
    reason: str


@dataclass(frozen=True)
class Notice:
    """Tell a machine's pods that it goes at a time."""

    machine: str
    until: float


@dataclass(frozen=True)
class Remove:
    """Take a machine away. ``why`` is Idle or Reclaimed."""

    machine: str
    why: str


Action = Launch | Refuse | Notice | Remove


def read_trace(file: Path) -> tuple[Change, ...]:
    """Read one change a line, as ``{"time": 60, "zone": "a", "market": "Spot", "capacity": 0}``, sorted by time."""
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    return tuple(sorted((Change(**json.loads(line)) for line in lines), key=lambda change: change.time))


def capacity_at(now: float, offering: Offering, changes: Iterable[Change]) -> int:
    """Return how many machines an offering has; none before anything was said of it."""
    said = [change for change in changes if change.time <= now and change.concerns(offering)]
    return max(said, key=lambda change: change.time).capacity if said else 0


def decide(
    now: float,
    wishes: Sequence[Wish],
    machines: Sequence[Machine],
    capacity: dict[Offering, int],
    rules: Rules,
) -> list[Action]:
    """Return what to do now: first what is taken back, then what is brought up, the cheapest first."""
    idle = [machine for machine in machines if _is_idle(now, machine, rules)]
    taken = _reclaimed(now, [machine for machine in machines if machine not in idle], capacity, rules)
    taken += [Remove(machine.name, "Idle") for machine in idle]
    going = {action.machine for action in taken}
    staying = [item for item in machines if item.name not in going and item.notice_until is None]
    rooms = [_Room(item.offering, item.free_gpus, item.free_cpus) for item in staying]
    left = {offering: number - _held(offering, machines, taken) for offering, number in capacity.items()}
    made: list[Action] = []
    for wish in wishes:
        if not _placed(wish, rooms):
            made.append(_brought_up(wish, rooms, left))
    return [*taken, *made]


@dataclass
class _Room:
    """What is free on a machine that stays or comes, while pods are laid into it in thought."""

    offering: Offering
    gpus: int
    cpus: float
    labels: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.labels = labels_of(self.offering.node(""))

    def fits(self, wish: Wish) -> bool:
        enough = wish.gpus <= self.gpus and wish.cpus <= self.cpus
        return enough and accepts(wish, self.labels, self.offering.taints)

    def take(self, wish: Wish) -> None:
        self.gpus -= wish.gpus
        self.cpus -= wish.cpus


def _placed(wish: Wish, rooms: list[_Room]) -> bool:
    """Lay a pod into the first room that it fits; the scheduler will find it, or the machine is on its way."""
    for room in rooms:
        if room.fits(wish):
            room.take(wish)
            return True
    return False


def _brought_up(wish: Wish, rooms: list[_Room], left: dict[Offering, int]) -> Action:
    fitting = sorted(
        (offering for offering in left if _Room(offering, offering.gpus, offering.cpus).fits(wish)),
        key=lambda offering: (offering.price_per_hour, offering.key),
    )
    if not fitting:
        return Refuse(wish.pod, "no machine is offered that it could run on")
    for offering in fitting:
        if left[offering] > 0:
            left[offering] -= 1
            room = _Room(offering, offering.gpus, offering.cpus)
            room.take(wish)
            rooms.append(room)
            return Launch(offering, wish.pod)
    tried = ", ".join(
        " ".join((offering.zone, offering.accelerator, offering.market)) for offering in fitting
    )
    return Refuse(wish.pod, f"out of capacity: {tried}")


def _reclaimed(
    now: float, machines: Sequence[Machine], capacity: dict[Offering, int], rules: Rules
) -> list[Notice | Remove]:
    """Spot machines above the capacity get notice, the youngest first; those whose time is up go."""
    due = [item for item in machines if item.notice_until is not None and item.notice_until <= now]
    actions: list[Notice | Remove] = [Remove(item.name, "Reclaimed") for item in due]
    for offering, number in capacity.items():
        mine = [item for item in machines if item.offering == offering]
        unwarned = sorted(
            (item for item in mine if item.notice_until is None), key=lambda item: (-item.asked_at, item.name)
        )
        if offering.market == "Spot":
            above = max(0, len(unwarned) - number)
            actions += [Notice(item.name, now + rules.notice_s) for item in unwarned[:above]]
    return actions


def _is_idle(now: float, machine: Machine, rules: Rules) -> bool:
    waiting = machine.notice_until is None and machine.idle_since is not None
    return waiting and now - (machine.idle_since or 0.0) >= rules.idle_s


def _held(offering: Offering, machines: Sequence[Machine], actions: Iterable[Action]) -> int:
    gone = {action.machine for action in actions if isinstance(action, Remove)}
    return sum(item.offering == offering and item.name not in gone for item in machines)


def cost(machines: Iterable[tuple[Offering, float]]) -> float:
    """Return what machines cost that ran for so many seconds each, in the currency of the prices."""
    return sum(offering.price_per_hour * seconds / 3600 for offering, seconds in machines)
