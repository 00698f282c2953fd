"""The endpoint pool of one revision: its engines, their capacity, and the short queue before them.

A place goes to the less busy of two engines drawn by chance (Mitzenmacher, "The Power of Two Choices", 2001), so
gateways need not tell each other what they sent. Who waits gets a place in the order of who has fewest, then of who
was given none for longest (max-min fairness), so that somebody with many connections does not starve those with one.
Where the model may sleep, a request that finds no engine waits for the first one to come up (`waking`). Owns no
transport and no routing.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter, deque
from collections.abc import Awaitable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.gateway.http.cancellation import Cancellation
from daybreak_serve.gateway.http.problems import RETRY_AFTER_S, ApiProblem, busy, no_engine, waking
from daybreak_serve.gateway.pool.readiness import Readiness
from daybreak_serve.gateway.pool.streams import EngineStream
from daybreak_serve.gateway.pool.waking import ColdStart, WakeHold

MAX_TURNS = 4096
"""Users whose turn is remembered; who is forgotten counts as new."""
NUM_RELEASES = 32
"""Places given back by whose pace the next is foretold."""
MAX_RETRY_AFTER_S = 30


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _new_place() -> asyncio.Future[Endpoint]:
    return asyncio.get_running_loop().create_future()


class EngineConnection(Protocol):
    """What completions are requested from."""

    def open(self) -> EngineStream:
        """Return a free stream."""
        ...

    def give_back(self, stream: EngineStream) -> None:
        """Take a stream back."""
        ...

    async def complete(self, prompt_ids: Sequence[int], options: GenerationOptions) -> tuple[int, ...]:
        """Return the token ids of a whole completion."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class Endpoint:
    """One engine as a gateway sees it."""

    def __init__(
        self, name: str, engine: EngineConnection, readiness: Readiness, max_concurrency: int
    ) -> None:
        self.name = name
        self.engine = engine
        self.readiness = readiness
        self.max_concurrency = max_concurrency
        self.inflight = 0
        self.num_mirrored = 0
        """Of those, mirrored ones, whose answers nobody waits for."""
        self.is_open = True
        """Whether new requests may go there: it is ready and not about to end."""

    @property
    def load(self) -> float:
        """Share of its capacity in use with one request more."""
        return (self.inflight + 1) / self.max_concurrency


@dataclass(eq=False)
class _Waiting:
    """A request that waits for a place."""

    place: asyncio.Future[Endpoint]
    tried: Collection[Endpoint]
    owner: str
    hold: WakeHold | None = None
    """How long it may wait where no engine can be asked; None: no longer than for a place."""

    @property
    def is_waking(self) -> bool:
        """Whether it waits for an engine to come up."""
        return self.hold is not None and self.hold.was_needed


class EndpointPool:
    """All engines of one revision."""

    def __init__(self, max_held: int, chance: random.Random) -> None:
        self._max_held = max_held
        self._chance = chance
        self._endpoints: dict[str, Endpoint] = {}
        self._leaving: set[Endpoint] = set()
        self._waiting: list[_Waiting] = []
        """In the order of their coming."""
        self._owned: Counter[str] = Counter()
        """Places by who has them."""
        self._turns: dict[str, int] = {}
        """When who was last given one, the earliest first: else who waits with many were always the first in line."""
        self._released_s: deque[float] = deque(maxlen=NUM_RELEASES)
        self._closing: set[asyncio.Task[None]] = set()
        self._cold_start = ColdStart()

    @property
    def endpoints(self) -> list[Endpoint]:
        """Engines that are known, also those that get no new requests."""
        return list(self._endpoints.values())

    @property
    def inflight(self) -> int:
        """Users' requests in all engines, also in those that were removed: capacity is asked for by these alone."""
        known = [*self._endpoints.values(), *self._leaving]
        return sum(endpoint.inflight - endpoint.num_mirrored for endpoint in known)

    @property
    def held(self) -> int:
        """Requests that wait for a place."""
        return len(self._waiting) - self.waking

    @property
    def waking(self) -> int:
        """Requests that wait, or waited, for an engine to come up: how many places they need is not known yet."""
        return sum(entry.is_waking for entry in self._waiting)

    def add(self, endpoint: Endpoint) -> None:
        """Add an engine; its capacity goes to waiting requests first."""
        self._endpoints[endpoint.name] = endpoint
        self.wake_waiting()

    def remove(self, name: str) -> None:
        """Send nothing more to an engine; its connections are closed once it has answered what it has."""
        endpoint = self._endpoints.pop(name)
        endpoint.is_open = False
        self._leaving.add(endpoint)
        self._let_go(endpoint)

    def usable(self, tried: Collection[Endpoint] = ()) -> list[Endpoint]:
        """Return the engines that a request may go to: those that are proven, else those not known to be wrong."""
        found = [one for one in self._endpoints.values() if one.is_open and one not in tried]
        proven = [one for one in found if one.readiness.reason is None]
        return proven or [one for one in found if not one.readiness.is_wrong]

    def _usable_to(self, entry: _Waiting) -> list[Endpoint]:
        """Return the engines for a waiting request; one that failed it may have it once it proved to be well again."""
        found = self.usable(entry.tried)
        if found or not entry.is_waking:
            return found
        return [one for one in self._endpoints.values() if one.is_open and one.readiness.reason is None]

    def _pick(self, usable: Sequence[Endpoint]) -> Endpoint | None:
        free = [one for one in usable if one.inflight < one.max_concurrency]
        if len(free) > 2:
            free = self._chance.sample(free, 2)
        return min(free, key=lambda one: (one.load, self._chance.random()), default=None)

    def acquire_spare(self) -> Endpoint | None:
        """Take a place of a proven engine that is at most half busy while nobody waits, for work that can be left."""
        endpoint = None if self._waiting else self._pick(self.usable())
        if endpoint is None or endpoint.load > 0.5 or endpoint.readiness.reason is not None:
            return None
        endpoint.inflight += 1
        endpoint.num_mirrored += 1
        return endpoint

    def release_spare(self, endpoint: Endpoint) -> None:
        """Give back what `acquire_spare` took."""
        endpoint.num_mirrored -= 1
        endpoint.inflight -= 1
        self._make_use(endpoint)

    async def acquire(
        self,
        cancellation: Cancellation,
        hold_s: float,
        tried: Collection[Endpoint] = (),
        owner: str = "",
        wake: WakeHold | None = None,
    ) -> Endpoint:
        """Take a place in an engine that was not tried yet, waiting up to ``hold_s``; `release` names the same owner.

        Where there is no engine, ``wake`` says how much longer to wait for one. Raises the `ApiProblem` to answer
        with: 429 where engines are busy, 503 where there is none.
        """
        usable = self.usable(tried)
        endpoint = None if self._waiting else self._pick(usable)
        if endpoint is not None:
            self._give(endpoint, owner)
            return endpoint
        entry = _Waiting(_new_place(), tried, owner, wake)
        if not usable and wake is not None:
            self._wait_for_engine(wake)
        elif tried and not usable:
            raise no_engine("no other engine can be asked")
        if len(self._waiting) >= self._max_held and not self._displace(owner):
            raise self._turned_away(entry, f"{self.inflight} requests run and {len(self._waiting)} wait")
        return await self._wait(cancellation, hold_s, entry)

    def _wait_for_engine(self, hold: WakeHold) -> None:
        hold.was_needed = True
        self._cold_start.ask(_now_s())

    def _turned_away(self, entry: _Waiting, why: str) -> ApiProblem:
        """Return the answer to a request that may not wait, or not longer."""
        if entry.hold is not None and entry.is_waking and not self._usable_to(entry):
            return self._cold_start.problem(_now_s(), entry.hold, why)
        return busy(f"{why}, try again", self._retry_after_s())

    def _give(self, endpoint: Endpoint, owner: str) -> None:
        endpoint.inflight += 1
        self._owned[owner] += 1
        last = next(reversed(self._turns.values()), 0)
        self._turns.pop(owner, None)
        self._turns[owner] = last + 1
        if len(self._turns) > MAX_TURNS:
            del self._turns[next(iter(self._turns))]

    def _displace(self, owner: str) -> bool:
        """Turn the latest of somebody away who waits with at least two more than this one; tell whether there was."""
        waiting = Counter(entry.owner for entry in self._waiting)
        greedy, most = max(waiting.items(), key=lambda item: item[1], default=("", 0))
        if most < waiting[owner] + 2:
            return False
        entry = next(entry for entry in reversed(self._waiting) if entry.owner == greedy)
        self._waiting.remove(entry)
        if not entry.place.done():
            why = f"{most} requests of this user wait and others came"
            entry.place.set_exception(self._turned_away(entry, why))
        return True

    def _retry_after_s(self) -> int:
        """Return in how many seconds those who wait will have had their turn, by the pace of the last releases."""
        if len(self._released_s) < 2:
            return RETRY_AFTER_S
        span_s = max(self._released_s[-1] - self._released_s[0], 0.001)
        each_s = span_s / (len(self._released_s) - 1)
        return min(MAX_RETRY_AFTER_S, max(RETRY_AFTER_S, math.ceil((len(self._waiting) + 1) * each_s)))

    async def _wait(self, cancellation: Cancellation, hold_s: float, entry: _Waiting) -> Endpoint:
        self._waiting.append(entry)
        cancellation.on_cancel(entry.place.cancel)
        mine, patience = False, None
        ends_s = None if entry.hold is None else entry.hold.until_s
        if not entry.is_waking:
            loop = asyncio.get_running_loop()
            patience = loop.call_later(hold_s, self._stop_holding, entry, hold_s)
            ends_s = None if ends_s is None else max(ends_s, loop.time() + hold_s + 1)
        try:
            async with asyncio.timeout_at(ends_s):
                endpoint = await entry.place
            mine = True
            return endpoint
        except TimeoutError as error:
            raise self._turned_away(entry, "this request has waited as long as it may") from error
        finally:
            if patience is not None:
                patience.cancel()
            if not mine:
                self._abandon(entry)

    def _stop_holding(self, entry: _Waiting, hold_s: float) -> None:
        """End the waiting for a place; where engines went meanwhile it becomes the waiting for one to come up."""
        if entry.place.done():
            return
        if self._usable_to(entry):
            message = f"no place in the engine within {hold_s * 1000:.0f} ms, try again"
            entry.place.set_exception(busy(message, self._retry_after_s()))
        elif entry.hold is None or entry.hold.until_s <= _now_s():
            entry.place.set_exception(no_engine("no engine serves this model now"))
        else:
            self._wait_for_engine(entry.hold)

    def _abandon(self, entry: _Waiting) -> None:
        """Leave the queue; a place that was given in the moment in which the waiting ended goes on."""
        place = entry.place
        if entry in self._waiting:
            self._waiting.remove(entry)
        elif place.done() and not place.cancelled() and place.exception() is None:
            self.release(place.result(), entry.owner)

    def release(self, endpoint: Endpoint, owner: str = "") -> None:
        """Give a place back, to the next who waits."""
        endpoint.inflight -= 1
        self._owned[owner] -= 1
        if not self._owned[owner]:
            del self._owned[owner]
        self._released_s.append(_now_s())
        self._make_use(endpoint)

    def _make_use(self, endpoint: Endpoint) -> None:
        if endpoint in self._leaving:
            self._let_go(endpoint)
        self.wake_waiting()

    def wake_waiting(self) -> None:
        """Hand free capacity to who waits: first who has fewest places, of equals who was given none for longest."""
        if self._cold_start.is_running and self.usable():
            self._cold_start.end(_now_s())
        while True:
            for entry in sorted(self._waiting, key=self._rank):
                endpoint = None if entry.place.done() else self._pick(self._usable_to(entry))
                if endpoint is not None:
                    self._give(endpoint, entry.owner)
                    self._waiting.remove(entry)
                    entry.place.set_result(endpoint)
                    break
            else:
                return

    def _rank(self, entry: _Waiting) -> tuple[int, int]:
        return self._owned[entry.owner], self._turns.get(entry.owner, 0)

    def retire(self) -> None:
        """Remove all engines and turn away who waits: the revision is no longer served."""
        for name in list(self._endpoints):
            self.remove(name)
        while self._waiting:
            place = self._waiting.pop(0).place
            if not place.done():
                place.set_exception(no_engine("this model is no longer served"))

    def send_away_waking(self) -> None:
        """Turn away who waits for an engine to come up: this gateway ends sooner, another one can wait on."""
        for entry in self._waiting:
            if entry.is_waking and not entry.place.done():
                entry.place.set_exception(waking("this gateway ends, ask again", RETRY_AFTER_S))

    def _let_go(self, endpoint: Endpoint) -> None:
        if endpoint.inflight == 0:
            self._leaving.discard(endpoint)
            self._spawn(endpoint.engine.close())

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every connection at once."""
        engines = [one.engine for one in [*self._endpoints.values(), *self._leaving]]
        await asyncio.gather(*(engine.close() for engine in engines), *self._closing)
