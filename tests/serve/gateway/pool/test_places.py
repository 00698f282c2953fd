"""Places: which engine gets a request, the queue before them, engines that come and go; and who gives up whose
request.
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

from daybreak_serve.engine.protocol import Options
from daybreak_serve.gateway.http.problems import Problem
from daybreak_serve.gateway.http.tickets import Supersession, Ticket
from daybreak_serve.gateway.pool.places import Endpoint, Places
from daybreak_serve.gateway.pool.readiness import Readiness


class Closable:
    """An engine that only remembers whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def open(self) -> Any:
        raise AssertionError("nobody asks here")

    def give_back(self, stream: Any) -> None:
        raise AssertionError("nobody asks here")

    async def complete(self, prompt_ids: Sequence[int], options: Options) -> tuple[int, ...]:
        raise AssertionError("nobody asks here")

    async def close(self) -> None:
        self.is_closed = True


class Always(Readiness):
    """An engine's state that the test sets."""

    def __init__(self, reason: str | None = None, is_wrong: bool = False) -> None:
        self.reason, self.is_wrong = reason, is_wrong


def engine(name: str = "a", size: int = 1, reason: str | None = None, is_wrong: bool = False) -> Endpoint:
    return Endpoint(name, Closable(), Always(reason, is_wrong), size)


def places_of(*engines: Endpoint, max_held: int = 5) -> Places:
    places = Places(max_held, random.Random(7))
    for one in engines:
        places.add(one)
    return places


async def test_places_are_given_in_order_of_arrival() -> None:
    places = places_of(engine())
    order: list[int] = []

    async def visit(number: int) -> None:
        endpoint = await places.enter(Ticket(), 5)
        order.append(number)
        await asyncio.sleep(0)
        places.leave(endpoint)

    await asyncio.gather(*(visit(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]
    assert (places.inflight, places.held) == (0, 0)


async def test_a_full_queue_turns_away_at_once() -> None:
    places = places_of(engine(), max_held=0)
    await places.enter(Ticket(), 5)
    with pytest.raises(Problem) as caught:
        await places.enter(Ticket(), 5)
    assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "1"})


async def test_patience_ends() -> None:
    places = places_of(engine())
    await places.enter(Ticket(), 5)
    with pytest.raises(Problem, match="within 10 ms"):
        await places.enter(Ticket(), 0.01)
    assert (places.inflight, places.held) == (1, 0)


async def test_a_ticket_cancelled_in_the_queue_leaves_it() -> None:
    places, ticket = places_of(engine()), Ticket()
    endpoint = await places.enter(Ticket(), 5)
    waiting = asyncio.create_task(places.enter(ticket, 5))
    await asyncio.sleep(0)
    ticket.cancel("disconnected")
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert places.held == 0
    places.leave(endpoint)
    assert places.inflight == 0


async def test_a_place_given_in_the_moment_of_cancelling_is_not_lost() -> None:
    places = places_of(engine())
    endpoint = await places.enter(Ticket(), 5)
    unlucky, next_one = (asyncio.create_task(places.enter(Ticket(), 5)) for _ in range(2))
    await asyncio.sleep(0)
    places.leave(endpoint)  # the place is the unlucky one's
    unlucky.cancel()  # before it woke up
    with pytest.raises(asyncio.CancelledError):
        await unlucky
    await asyncio.wait_for(next_one, 1)
    assert places.inflight == 1


async def test_the_less_busy_engine_gets_the_request_by_its_own_measure() -> None:
    small, large = engine("small", 2), engine("large", 8)
    places = places_of(small, large)
    for _ in range(5):
        await places.enter(Ticket(), 5)
    assert (small.inflight, large.inflight) == (1, 4)


async def test_requests_spread_over_many_engines() -> None:
    engines = [engine(str(number), 100) for number in range(5)]
    places = places_of(*engines)
    found = Counter([(await places.enter(Ticket(), 5)).name for _ in range(100)])
    assert min(found.values()) >= 17  # two choices keep the difference to a few


async def test_a_proven_engine_is_preferred_and_a_wrong_one_never_asked() -> None:
    doubted, proven = engine("doubted", reason="it was silent"), engine("proven")
    places = places_of(doubted, proven, engine("wrong", reason="differs", is_wrong=True))
    assert await places.enter(Ticket(), 5) is proven
    with pytest.raises(Problem) as caught:  # rather than the doubted one, as long as there is a proven one
        await places.enter(Ticket(), 0.01)
    assert caught.value.status == 429
    places.remove("proven")
    assert await places.enter(Ticket(), 5) is doubted


async def test_without_an_engine_requests_are_held_until_one_comes() -> None:
    places = places_of()
    waiting = asyncio.create_task(places.enter(Ticket(), 5))
    await asyncio.sleep(0)
    late = engine()
    places.add(late)
    assert await asyncio.wait_for(waiting, 1) is late
    with pytest.raises(Problem) as caught:
        await places_of().enter(Ticket(), 0.01)
    assert (caught.value.status, caught.value.code) == (503, "no_engine")


async def test_an_engine_that_is_removed_is_closed_when_it_has_answered() -> None:
    first, second = engine("first"), engine("second")
    places = places_of(first)
    await places.enter(Ticket(), 5)
    places.remove("first")
    places.add(second)
    assert await places.enter(Ticket(), 5) is second
    await asyncio.sleep(0)
    assert (places.inflight, first.engine.is_closed) == (2, False)  # type: ignore[attr-defined]
    places.leave(first)
    await asyncio.sleep(0)
    assert (places.inflight, first.engine.is_closed) == (1, True)  # type: ignore[attr-defined]


async def test_a_revision_that_is_dissolved_turns_away_who_waits() -> None:
    places = places_of(engine())
    await places.enter(Ticket(), 5)
    waiting = asyncio.create_task(places.enter(Ticket(), 5))
    await asyncio.sleep(0)
    places.dissolve()
    with pytest.raises(Problem) as caught:
        await waiting
    assert caught.value.code == "no_engine"
    assert places.endpoints == []


async def test_another_engine_is_one_that_was_not_tried() -> None:
    first, second = engine("first", 9), engine("second", 9)
    places = places_of(first, second)
    for _ in range(5):
        assert await places.enter(Ticket(), 5, [first]) is second
    with pytest.raises(Problem, match="no other engine"):
        await places.enter(Ticket(), 5, [first, second])


async def test_spare_places_are_those_of_engines_at_most_half_busy() -> None:
    places = places_of(engine("a", 4))
    assert [places.take_spare() is not None for _ in range(3)] == [True, True, False]


async def test_mirrored_requests_take_places_and_count_as_nobodys() -> None:
    one = engine("a", 4)
    places = places_of(one)
    spare = places.take_spare()
    assert spare is one
    await places.enter(Ticket(), 5)
    assert (one.inflight, places.inflight) == (2, 1)
    places.remove("a")
    places.leave(one)
    assert (one.inflight, places.inflight, one.engine.is_closed) == (1, 0, False)  # type: ignore[attr-defined]
    places.leave_spare(one)
    assert (one.inflight, places.inflight) == (0, 0)
    await asyncio.sleep(0)
    assert one.engine.is_closed  # type: ignore[attr-defined]


@pytest.mark.parametrize("reason", ["the engine was not asked yet", "a request found it down"])
def test_nothing_is_mirrored_to_an_engine_that_is_not_proven(reason: str) -> None:
    assert places_of(engine("a", 4, reason)).take_spare() is None


async def test_nothing_is_mirrored_while_a_user_waits() -> None:
    one = engine("a", 4)
    places = places_of(one)
    for _ in range(4):
        await places.enter(Ticket(), 5)
    waiting = asyncio.create_task(places.enter(Ticket(), 5))
    await asyncio.sleep(0)
    assert (places.held, places.take_spare()) == (1, None)
    places.leave(one)
    assert await waiting is one


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 4))
def test_no_engine_gets_more_than_its_places_whatever_comes_and_goes(moves: list[int], size: int) -> None:
    async def play() -> None:
        places, taken, number = places_of(max_held=3), [], 0
        waiting: list[asyncio.Task[Endpoint]] = []
        for move in moves:
            if move < 5:
                waiting.append(asyncio.create_task(places.enter(Ticket(), 60)))
            elif move < 7 and taken:
                places.leave(taken.pop(0))
            elif move == 7 and places.endpoints:
                places.remove(places.endpoints[0].name)
            elif move > 7:
                number += 1
                places.add(engine(str(number), size))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            taken += [task.result() for task in waiting if task.done() and not task.exception()]
            waiting = [task for task in waiting if not task.done()]
            assert all(0 <= one.inflight <= one.max_concurrency for one in places.endpoints)
            assert places.inflight == len(taken)
            free = any(one.inflight < one.max_concurrency for one in places.endpoints)
            assert not (free and places.held)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(play())


async def test_a_request_given_up_before_its_stage_begins_is_stopped_when_it_does() -> None:
    ticket = Ticket()
    ticket.cancel("superseded")
    stopped: list[str] = []
    ticket.on_cancel(lambda: stopped.append("now"))
    assert stopped == ["now"]
    ticket.cancel("disconnected")
    assert ticket.cancelled == "superseded"  # the first reason counts


def test_only_the_same_user_and_file_supersede() -> None:
    supersession = Supersession()
    tickets = [Ticket() for _ in range(5)]
    keys = [("ada", "a.py"), ("ada", "b.py"), ("bob", "a.py"), ("ada", None), ("ada", "a.py")]
    for key, ticket in zip(keys, tickets, strict=True):
        supersession.enter(*key, ticket)
    assert [ticket.cancelled for ticket in tickets] == ["superseded", None, None, None, None]
    supersession.leave("ada", "a.py", tickets[0])  # the earlier one ends late: the newer stays registered
    last = Ticket()
    supersession.enter("ada", "a.py", last)
    assert tickets[4].cancelled == "superseded"
