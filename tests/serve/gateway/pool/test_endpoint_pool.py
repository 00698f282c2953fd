"""The endpoint pool: which engine gets a request, the queue before them, engines that come and go; and who gives up
whose request.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.gateway.http.cancellation import Cancellation, Supersession
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.pool.endpoint_pool import Endpoint, EndpointPool
from daybreak_serve.gateway.pool.readiness import Readiness


class Closable:
    """An engine that only remembers whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def open(self) -> Any:
        raise AssertionError("nobody asks here")

    def give_back(self, stream: Any) -> None:
        raise AssertionError("nobody asks here")

    async def complete(self, prompt_ids: Sequence[int], options: GenerationOptions) -> tuple[int, ...]:
        raise AssertionError("nobody asks here")

    async def close(self) -> None:
        self.is_closed = True


class Always(Readiness):
    """An engine's state that the test sets."""

    def __init__(self, reason: str | None = None, is_wrong: bool = False) -> None:
        self.reason, self.is_wrong = reason, is_wrong


def engine(name: str = "a", size: int = 1, reason: str | None = None, is_wrong: bool = False) -> Endpoint:
    return Endpoint(name, Closable(), Always(reason, is_wrong), size)


def pool_of(*engines: Endpoint, max_held: int = 5) -> EndpointPool:
    pool = EndpointPool(max_held, random.Random(7))
    for one in engines:
        pool.add(one)
    return pool


async def test_places_are_given_in_order_of_arrival() -> None:
    pool = pool_of(engine())
    order: list[int] = []

    async def visit(number: int) -> None:
        endpoint = await pool.acquire(Cancellation(), 5)
        order.append(number)
        await asyncio.sleep(0)
        pool.release(endpoint)

    await asyncio.gather(*(visit(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]
    assert (pool.inflight, pool.held) == (0, 0)


async def test_a_full_queue_turns_away_at_once() -> None:
    pool = pool_of(engine(), max_held=0)
    await pool.acquire(Cancellation(), 5)
    with pytest.raises(ApiProblem) as caught:
        await pool.acquire(Cancellation(), 5)
    assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "1"})


async def test_patience_ends() -> None:
    pool = pool_of(engine())
    await pool.acquire(Cancellation(), 5)
    with pytest.raises(ApiProblem, match="within 10 ms"):
        await pool.acquire(Cancellation(), 0.01)
    assert (pool.inflight, pool.held) == (1, 0)


async def test_a_ticket_cancelled_in_the_queue_leaves_it() -> None:
    pool, cancellation = pool_of(engine()), Cancellation()
    endpoint = await pool.acquire(Cancellation(), 5)
    waiting = asyncio.create_task(pool.acquire(cancellation, 5))
    await asyncio.sleep(0)
    cancellation.cancel("disconnected")
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert pool.held == 0
    pool.release(endpoint)
    assert pool.inflight == 0


async def test_a_place_given_in_the_moment_of_cancelling_is_not_lost() -> None:
    pool = pool_of(engine())
    endpoint = await pool.acquire(Cancellation(), 5)
    unlucky, next_one = (asyncio.create_task(pool.acquire(Cancellation(), 5)) for _ in range(2))
    await asyncio.sleep(0)
    pool.release(endpoint)  # the place is the unlucky one's
    unlucky.cancel()  # before it woke up
    with pytest.raises(asyncio.CancelledError):
        await unlucky
    await asyncio.wait_for(next_one, 1)
    assert pool.inflight == 1


async def test_the_less_busy_engine_gets_the_request_by_its_own_measure() -> None:
    small, large = engine("small", 2), engine("large", 8)
    pool = pool_of(small, large)
    for _ in range(5):
        await pool.acquire(Cancellation(), 5)
    assert (small.inflight, large.inflight) == (1, 4)


async def test_requests_spread_over_many_engines() -> None:
    engines = [engine(str(number), 100) for number in range(5)]
    pool = pool_of(*engines)
    found = Counter([(await pool.acquire(Cancellation(), 5)).name for _ in range(100)])
    assert min(found.values()) >= 17  # two choices keep the difference to a few


async def test_a_proven_engine_is_preferred_and_a_wrong_one_never_asked() -> None:
    doubted, proven = engine("doubted", reason="it was silent"), engine("proven")
    pool = pool_of(doubted, proven, engine("wrong", reason="differs", is_wrong=True))
    assert await pool.acquire(Cancellation(), 5) is proven
    with pytest.raises(ApiProblem) as caught:  # rather than the doubted one, as long as there is a proven one
        await pool.acquire(Cancellation(), 0.01)
    assert caught.value.status == 429
    pool.remove("proven")
    assert await pool.acquire(Cancellation(), 5) is doubted


async def test_without_an_engine_requests_are_held_until_one_comes() -> None:
    pool = pool_of()
    waiting = asyncio.create_task(pool.acquire(Cancellation(), 5))
    await asyncio.sleep(0)
    late = engine()
    pool.add(late)
    assert await asyncio.wait_for(waiting, 1) is late
    with pytest.raises(ApiProblem) as caught:
        await pool_of().acquire(Cancellation(), 0.01)
    assert (caught.value.status, caught.value.code) == (503, "no_engine")


async def test_an_engine_that_is_removed_is_closed_when_it_has_answered() -> None:
    first, second = engine("first"), engine("second")
    pool = pool_of(first)
    await pool.acquire(Cancellation(), 5)
    pool.remove("first")
    pool.add(second)
    assert await pool.acquire(Cancellation(), 5) is second
    await asyncio.sleep(0)
    assert (pool.inflight, first.engine.is_closed) == (2, False)  # type: ignore[attr-defined]
    pool.release(first)
    await asyncio.sleep(0)
    assert (pool.inflight, first.engine.is_closed) == (1, True)  # type: ignore[attr-defined]


async def test_a_revision_that_is_dissolved_turns_away_who_waits() -> None:
    pool = pool_of(engine())
    await pool.acquire(Cancellation(), 5)
    waiting = asyncio.create_task(pool.acquire(Cancellation(), 5))
    await asyncio.sleep(0)
    pool.retire()
    with pytest.raises(ApiProblem) as caught:
        await waiting
    assert caught.value.code == "no_engine"
    assert pool.endpoints == []


async def test_another_engine_is_one_that_was_not_tried() -> None:
    first, second = engine("first", 9), engine("second", 9)
    pool = pool_of(first, second)
    for _ in range(5):
        assert await pool.acquire(Cancellation(), 5, [first]) is second
    with pytest.raises(ApiProblem, match="no other engine"):
        await pool.acquire(Cancellation(), 5, [first, second])


async def test_spare_places_are_those_of_engines_at_most_half_busy() -> None:
    pool = pool_of(engine("a", 4))
    assert [pool.acquire_spare() is not None for _ in range(3)] == [True, True, False]


async def test_mirrored_requests_take_places_and_count_as_nobodys() -> None:
    one = engine("a", 4)
    pool = pool_of(one)
    spare = pool.acquire_spare()
    assert spare is one
    await pool.acquire(Cancellation(), 5)
    assert (one.inflight, pool.inflight) == (2, 1)
    pool.remove("a")
    pool.release(one)
    assert (one.inflight, pool.inflight, one.engine.is_closed) == (1, 0, False)  # type: ignore[attr-defined]
    pool.release_spare(one)
    assert (one.inflight, pool.inflight) == (0, 0)
    await asyncio.sleep(0)
    assert one.engine.is_closed  # type: ignore[attr-defined]


@pytest.mark.parametrize("reason", ["the engine was not asked yet", "a request found it down"])
def test_nothing_is_mirrored_to_an_engine_that_is_not_proven(reason: str) -> None:
    assert pool_of(engine("a", 4, reason)).acquire_spare() is None


async def test_nothing_is_mirrored_while_a_user_waits() -> None:
    one = engine("a", 4)
    pool = pool_of(one)
    for _ in range(4):
        await pool.acquire(Cancellation(), 5)
    waiting = asyncio.create_task(pool.acquire(Cancellation(), 5))
    await asyncio.sleep(0)
    assert (pool.held, pool.acquire_spare()) == (1, None)
    pool.release(one)
    assert await waiting is one


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 4))
def test_no_engine_gets_more_than_its_places_whatever_comes_and_goes(moves: list[int], size: int) -> None:
    async def play() -> None:
        pool, taken, number = pool_of(max_held=3), [], 0
        waiting: list[asyncio.Task[Endpoint]] = []
        for move in moves:
            if move < 5:
                waiting.append(asyncio.create_task(pool.acquire(Cancellation(), 60)))
            elif move < 7 and taken:
                pool.release(taken.pop(0))
            elif move == 7 and pool.endpoints:
                pool.remove(pool.endpoints[0].name)
            elif move > 7:
                number += 1
                pool.add(engine(str(number), size))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            taken += [task.result() for task in waiting if task.done() and not task.exception()]
            waiting = [task for task in waiting if not task.done()]
            assert all(0 <= one.inflight <= one.max_concurrency for one in pool.endpoints)
            assert pool.inflight == len(taken)
            free = any(one.inflight < one.max_concurrency for one in pool.endpoints)
            assert not (free and pool.held)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(play())


async def test_a_request_given_up_before_its_stage_begins_is_stopped_when_it_does() -> None:
    cancellation = Cancellation()
    cancellation.cancel("superseded")
    stopped: list[str] = []
    cancellation.on_cancel(lambda: stopped.append("now"))
    assert stopped == ["now"]
    cancellation.cancel("disconnected")
    assert cancellation.cancelled == "superseded"  # the first reason counts


def test_only_the_same_user_and_file_supersede() -> None:
    supersession = Supersession()
    cancellations = [Cancellation() for _ in range(5)]
    keys = [("ada", "a.py"), ("ada", "b.py"), ("bob", "a.py"), ("ada", None), ("ada", "a.py")]
    for key, cancellation in zip(keys, cancellations, strict=True):
        supersession.register(*key, cancellation)
    assert [cancellation.cancelled for cancellation in cancellations] == [
        "superseded",
        None,
        None,
        None,
        None,
    ]
    supersession.unregister(
        "ada", "a.py", cancellations[0]
    )  # the earlier one ends late: the newer stays registered
    last = Cancellation()
    supersession.register("ada", "a.py", last)
    assert cancellations[4].cancelled == "superseded"


async def test_one_with_many_connections_leaves_the_others_their_share() -> None:
    """Sixteen connections of one user had 24 answers, five polite users 1 of 30. Jain's index must be .9."""
    pool = pool_of(engine(size=4), max_held=8)
    answers: Counter[str] = Counter()
    ends = asyncio.get_running_loop().time() + 1.5

    async def ask(owner: str) -> None:
        while asyncio.get_running_loop().time() < ends:
            try:
                place = await pool.acquire(Cancellation(), 0.5, owner=owner)
            except ApiProblem as problem:
                assert problem.status == 429
                await asyncio.sleep(0.01)
                continue
            await asyncio.sleep(0.01)
            pool.release(place, owner)
            answers[owner] += 1

    polite = [f"polite-{number}" for number in range(5)]
    await asyncio.gather(*(ask("greedy") for _ in range(16)), *(ask(owner) for owner in polite))
    found = [answers[owner] for owner in ("greedy", *polite)]
    assert sum(found) ** 2 / (len(found) * sum(number**2 for number in found)) >= 0.9
    assert pool.inflight == pool.held == 0


async def test_who_is_turned_away_is_told_when_to_come_again() -> None:
    pool = pool_of(engine(size=1), max_held=1)
    place = await pool.acquire(Cancellation(), 1)
    for _ in range(4):  # one place every 0.4 s
        await asyncio.sleep(0.4)
        pool.release(place)
        place = await pool.acquire(Cancellation(), 1)
    waiting = [
        asyncio.create_task(pool.acquire(Cancellation(), 0.3, owner=str(number))) for number in range(3)
    ]
    told = list(await asyncio.gather(*waiting, return_exceptions=True))
    problems = [problem for problem in told if isinstance(problem, ApiProblem)]
    assert len(problems) == 3
    assert all(1 <= problem.retry_after_s <= 2 for problem in problems)
    pool.release(place)


async def test_among_equals_the_one_who_had_no_place_for_longest_is_next() -> None:
    """A user with many in line was always the first of them, and got twice what the polite ones got."""
    pool, served = pool_of(engine(size=1), max_held=20), []
    running = await pool.acquire(Cancellation(), 5, owner="greedy")

    async def visit(owner: str) -> None:
        endpoint = await pool.acquire(Cancellation(), 5, owner=owner)
        served.append(owner)
        await asyncio.sleep(0)
        pool.release(endpoint, owner)

    visits = [asyncio.create_task(visit(owner)) for owner in ["greedy"] * 4 + ["ada", "grace"] * 2]
    await asyncio.sleep(0)
    pool.release(running, "greedy")
    await asyncio.gather(*visits)
    assert served == ["ada", "grace", "greedy", "ada", "grace", "greedy", "greedy", "greedy"]
