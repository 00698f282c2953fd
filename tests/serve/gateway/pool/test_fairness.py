"""Shares of a greedy user and polite ones in a time of the test's own: what the pool decides, not what a machine bears.

Over HTTP on a busy machine the index once fell to .774 with 100 ms a request. Here that takes polite clients that pause
for a quarter of a second between two requests: they do not ask for their share then.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter
from typing import Any

import pytest

from daybreak_serve.gateway.http.cancellation import Cancellation
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.pool.endpoint_pool import EndpointPool
from tests.serve.gateway.pool.test_endpoint_pool import engine, pool_of

GREEDY, POLITE, PLACES = 16, 5, 4
PLAY_S = 8.0


class VirtualSelector(selectors.DefaultSelector):
    """Waits for nothing: what it would have waited is added to the time."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and timeout:
            self.now_s += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop by its selector's time."""

    def __init__(self) -> None:
        self._virtual = VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now_s


async def shares(
    pool: EndpointPool, hold_s: float, service_s: float, pause_s: float, connections: int
) -> list[int]:
    """Let everybody ask without end; return the answers of the greedy one and of each polite one."""
    loop, chance, answers = asyncio.get_running_loop(), random.Random(5), Counter[str]()

    async def ask(user: str) -> None:
        while loop.time() < PLAY_S:
            try:
                place = await pool.acquire(Cancellation(), hold_s, (), user)
            except ApiProblem:
                await asyncio.sleep(0.001 + pause_s)
                continue
            await asyncio.sleep(service_s * chance.uniform(0.5, 1.5))
            pool.release(place, user)
            answers[user] += 1
            await asyncio.sleep(chance.uniform(0, 2 * pause_s))

    polite = [f"polite-{number}" for number in range(POLITE)]
    await asyncio.gather(*(ask(user) for user in ["greedy"] * GREEDY + polite * connections))
    return [answers[user] for user in ("greedy", *polite)]


@pytest.mark.parametrize(
    ("hold_s", "service_s", "pause_s", "connections"),
    [
        pytest.param(2.0, 0.4, 0.0, 2, id="as the bench asks over HTTP"),
        pytest.param(0.2, 0.1, 0.0, 2, id="100 ms a request, held 200 ms"),
        pytest.param(0.2, 0.1, 0.1, 2, id="and clients pause 100 ms"),
        pytest.param(0.1, 0.1, 0.0, 2, id="held as long as a request takes"),
        pytest.param(0.2, 0.1, 0.0, 1, id="polite users have one connection"),
    ],
)
def test_a_greedy_user_gets_what_everybody_gets(
    hold_s: float, service_s: float, pause_s: float, connections: int
) -> None:
    loop = VirtualLoop()
    try:
        pool = pool_of(engine("a", PLACES), max_held=64)
        got = loop.run_until_complete(shares(pool, hold_s, service_s, pause_s, connections))
    finally:
        loop.close()
    assert sum(got) ** 2 / (len(got) * sum(number**2 for number in got)) >= 0.9, got
    assert sum(got) >= 0.9 * PLACES * PLAY_S / service_s  # and no place stands empty for it
