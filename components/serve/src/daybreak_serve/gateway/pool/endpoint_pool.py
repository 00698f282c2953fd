"""The endpoint pool of one revision: its engines, their capacity, and the short queue before them, first in, first out.

A place goes to the less busy of two engines drawn by chance (Mitzenmacher, "The Power of Two Choices", 2001), so
gateways need not tell each other what they sent. Owns no transport and no routing.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Collection, Sequence
from typing import Protocol

from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.gateway.http.cancellation import Cancellation
from daybreak_serve.gateway.http.problems import busy, no_engine
from daybreak_serve.gateway.pool.readiness import Readiness
from daybreak_serve.gateway.pool.streams import EngineStream


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


class EndpointPool:
    """All engines of one revision."""

    def __init__(self, max_held: int, chance: random.Random) -> None:
        self._max_held = max_held
        self._chance = chance
        self._endpoints: dict[str, Endpoint] = {}
        self._leaving: set[Endpoint] = set()
        self._waiting: deque[tuple[asyncio.Future[Endpoint], Collection[Endpoint]]] = deque()
        self._closing: set[asyncio.Task[None]] = set()

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
        """Requests that wait."""
        return len(self._waiting)

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

    def _pick(self, tried: Collection[Endpoint]) -> Endpoint | None:
        free = [one for one in self.usable(tried) if one.inflight < one.max_concurrency]
        if len(free) > 2:
            free = self._chance.sample(free, 2)
        return min(free, key=lambda one: (one.load, self._chance.random()), default=None)

    def acquire_spare(self) -> Endpoint | None:
        """Take a place of a proven engine that is at most half busy while nobody waits, for work that can be left."""
        endpoint = None if self._waiting else self._pick(())
        if endpoint is None or endpoint.load > 0.5 or endpoint.readiness.reason is not None:
            return None
        endpoint.inflight += 1
        endpoint.num_mirrored += 1
        return endpoint

    def release_spare(self, endpoint: Endpoint) -> None:
        """Give back what `acquire_spare` took."""
        endpoint.num_mirrored -= 1
        self.release(endpoint)

    async def acquire(
        self, cancellation: Cancellation, hold_s: float, tried: Collection[Endpoint] = ()
    ) -> Endpoint:
        """Take a place in an engine that was not tried yet, waiting up to ``hold_s``.

        Raises the `ApiProblem` to answer with: 429 where engines are busy, 503 where there is none.
        """
        endpoint = None if self._waiting else self._pick(tried)
        if endpoint is not None:
            endpoint.inflight += 1
            return endpoint
        if tried and not self.usable(tried):
            raise no_engine("no other engine can be asked")
        if len(self._waiting) >= self._max_held:
            raise busy(f"{self.inflight} requests run and {self.held} wait, try again")
        return await self._wait(cancellation, hold_s, tried)

    async def _wait(self, cancellation: Cancellation, hold_s: float, tried: Collection[Endpoint]) -> Endpoint:
        place: asyncio.Future[Endpoint] = asyncio.get_running_loop().create_future()
        entry = (place, tried)
        self._waiting.append(entry)
        cancellation.on_cancel(place.cancel)
        mine = False
        try:
            async with asyncio.timeout(hold_s):
                endpoint = await place
            mine = True
            return endpoint
        except TimeoutError as error:
            if not self.usable(tried):
                raise no_engine("no engine serves this model now") from error
            raise busy(f"no place in the engine within {hold_s * 1000:.0f} ms, try again") from error
        finally:
            if not mine:
                self._abandon(entry)

    def _abandon(self, entry: tuple[asyncio.Future[Endpoint], Collection[Endpoint]]) -> None:
        """Leave the queue; a place that was given in the moment in which the waiting ended goes on."""
        place = entry[0]
        if entry in self._waiting:
            self._waiting.remove(entry)
        elif place.done() and not place.cancelled() and place.exception() is None:
            self.release(place.result())

    def release(self, endpoint: Endpoint) -> None:
        """Give a place back, to the next who waits."""
        endpoint.inflight -= 1
        if endpoint in self._leaving:
            self._let_go(endpoint)
        self.wake_waiting()

    def wake_waiting(self) -> None:
        """Hand free capacity to waiting requests, in their order."""
        for entry in list(self._waiting):
            place, tried = entry
            endpoint = None if place.done() else self._pick(tried)
            if endpoint is not None:
                endpoint.inflight += 1
                self._waiting.remove(entry)
                place.set_result(endpoint)

    def retire(self) -> None:
        """Remove all engines and turn away who waits: the revision is no longer served."""
        for name in list(self._endpoints):
            self.remove(name)
        while self._waiting:
            place, _ = self._waiting.popleft()
            if not place.done():
                place.set_exception(no_engine("this model is no longer served"))

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
