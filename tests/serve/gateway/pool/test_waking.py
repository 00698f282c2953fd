"""Waiting for the first engine of a model that sleeps: nobody waits beside what is there, nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_serve.gateway.http.cancellation import Cancellation
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.pool.endpoint_pool import Endpoint, EndpointPool
from daybreak_serve.gateway.pool.waking import FORGOTTEN_S, OVERDUE_S, UNKNOWN_S, ColdStart, WakeHold
from tests.serve.gateway.pool.test_endpoint_pool import engine, pool_of


def hold(seconds: float, cold_start_s: int = 0) -> WakeHold:
    return WakeHold(asyncio.get_running_loop().time() + seconds, cold_start_s)


def ask(
    pool: EndpointPool, wake: WakeHold, owner: str = "", tried: Sequence[Endpoint] = ()
) -> asyncio.Task[Endpoint]:
    return asyncio.create_task(pool.acquire(Cancellation(), 0.02, tried, owner, wake))


async def problem_of(task: asyncio.Task[Endpoint]) -> ApiProblem:
    with pytest.raises(ApiProblem) as caught:
        await task
    return caught.value


async def test_a_request_waits_longer_for_an_engine_than_for_a_place() -> None:
    pool, wake, one = pool_of(), hold(5), engine()
    waiting = ask(pool, wake)
    await asyncio.sleep(0.1)  # five times as long as for a place
    assert (pool.waking, pool.held, wake.was_needed) == (1, 0, True)
    pool.add(one)
    assert await waiting is one
    assert (pool.waking, pool.held, pool.inflight) == (0, 0, 1)


async def test_where_engines_are_only_busy_it_waits_no_longer_than_ever() -> None:
    pool, wake = pool_of(engine()), hold(5)
    await pool.acquire(Cancellation(), 1)
    problem = await problem_of(ask(pool, wake))
    assert (problem.status, problem.code, wake.was_needed) == (429, "engine_busy", False)


async def test_who_waited_for_a_start_and_then_found_it_busy_is_told_so() -> None:
    pool, wake = pool_of(), hold(0.3)
    waiting = [ask(pool, wake), ask(pool, hold(0.3))]
    await asyncio.sleep(0)
    pool.add(engine())
    problem = await problem_of(waiting[1])
    assert (problem.status, problem.code) == (429, "engine_busy")
    assert (await waiting[0]).name == "a"


async def test_patience_for_a_place_may_be_longer_than_for_a_start() -> None:
    pool = pool_of(engine())
    place = await pool.acquire(Cancellation(), 1)
    waiting = asyncio.create_task(pool.acquire(Cancellation(), 5, (), "", hold(0.05)))
    await asyncio.sleep(0.2)
    pool.release(place)
    assert await waiting is place


async def test_the_last_engine_may_go_while_a_request_waits_for_a_place_in_it() -> None:
    pool, wake, next_one = pool_of(engine("a")), hold(5), engine("b")
    await pool.acquire(Cancellation(), 1)
    waiting = ask(pool, wake)
    await asyncio.sleep(0)
    pool.remove("a")
    await asyncio.sleep(0.1)
    assert (pool.waking, wake.was_needed) == (1, True)
    pool.add(next_one)
    assert await waiting is next_one


async def test_an_engine_that_failed_it_is_as_good_as_any_once_it_proved_to_be_well() -> None:
    one = engine(reason="a request found it down")
    pool = pool_of(one)
    waiting = ask(pool, hold(5), tried=[one])
    await asyncio.sleep(0.05)
    assert not waiting.done()
    one.readiness.reason = None
    pool.wake_waiting()
    assert await waiting is one


async def test_who_leaves_leaves_nothing_behind() -> None:
    pool, cancellation = pool_of(), Cancellation()
    waiting = asyncio.create_task(pool.acquire(cancellation, 0.02, (), "", hold(5)))
    await asyncio.sleep(0.05)
    cancellation.cancel("disconnected")
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert pool.waking == 0
    one = engine()
    pool.add(one)
    assert one.inflight == 0


@pytest.mark.parametrize(
    ("known_s", "retry_after_s", "says"),
    [
        pytest.param(0, UNKNOWN_S, "is not known yet", id="nothing-is-known"),
        pytest.param(120, 120, "the last start took 120 s", id="the-operator-saw-one"),
    ],
)
async def test_who_cannot_wait_longer_is_told_when_to_come_again(
    known_s: int, retry_after_s: int, says: str
) -> None:
    problem = await problem_of(ask(pool_of(), hold(0.05, known_s)))
    assert (problem.status, problem.code, problem.retry_after_s) == (503, "waking", retry_after_s)
    assert says in problem.message
    assert problem.headers == {"retry-after": str(retry_after_s)}


async def test_beyond_the_bound_nobody_waits_and_the_queue_stays_fair() -> None:
    pool = pool_of(max_held=3)
    greedy = [ask(pool, hold(5, 60), "greedy") for _ in range(3)]
    await asyncio.sleep(0)
    problem = await problem_of(ask(pool, hold(5, 60), "greedy"))
    assert (problem.status, problem.code) == (503, "waking")
    assert 58 <= problem.retry_after_s <= 60
    polite = ask(pool, hold(5, 60), "polite")
    displaced = await problem_of(greedy[-1])
    assert (displaced.status, displaced.code) == (503, "waking")
    one = engine(size=3)
    pool.add(one)
    assert await asyncio.gather(*greedy[:2], polite) == [one, one, one]


async def test_a_gateway_that_ends_sends_away_only_those_who_wait_for_an_engine() -> None:
    pool = pool_of()
    waiting = ask(pool, hold(60))
    await asyncio.sleep(0)
    pool.send_away_waking()
    problem = await problem_of(waiting)
    assert (problem.status, problem.code, problem.retry_after_s) == (503, "waking", 1)


class TestWhatIsKnownOfAStart:
    """When to come again, by what a start took."""

    @staticmethod
    def told(start: ColdStart, now_s: float, known_s: int = 0) -> int:
        return start.problem(now_s, WakeHold(0.0, known_s), "why").retry_after_s

    def test_what_has_passed_of_it_counts(self) -> None:
        start = ColdStart()
        start.ask(100.0)
        assert [self.told(start, now_s, 120) for now_s in (100.0, 150.0, 219.5)] == [120, 70, 1]

    def test_one_that_takes_longer_than_the_last_one_is_asked_for_soon(self) -> None:
        start = ColdStart()
        start.ask(100.0)
        assert self.told(start, 221.0, 120) == OVERDUE_S

    def test_what_this_gateway_saw_is_nearer_than_what_the_operator_saw(self) -> None:
        start = ColdStart()
        start.ask(100.0)
        start.end(140.0)
        start.ask(1000.0)
        assert self.told(start, 1010.0, 120) == 30

    def test_one_that_nobody_waited_for_any_more_is_another_one(self) -> None:
        start = ColdStart()
        start.ask(0.0)
        start.ask(FORGOTTEN_S)
        assert self.told(start, FORGOTTEN_S + 1.0, 60) == OVERDUE_S  # somebody came all the while
        start.ask(2 * FORGOTTEN_S + 10.0)
        assert self.told(start, 2 * FORGOTTEN_S + 20.0, 60) == 50


@given(st.lists(st.integers(0, 11), max_size=60), st.integers(1, 3))
def test_whatever_comes_and_goes_every_request_gets_a_place_or_is_told_why(
    moves: list[int], size: int
) -> None:
    """Awake or asleep: none waits beside a free place, none is lost, none is answered twice."""

    async def play() -> None:
        pool, number = pool_of(max_held=4), 0
        waiting: list[tuple[asyncio.Task[Endpoint], Cancellation]] = []
        taken: list[Endpoint] = []
        for move in moves:
            if move < 5:
                cancellation = Cancellation()
                acquiring = pool.acquire(cancellation, 60, wake=hold(60, 30))
                waiting.append((asyncio.create_task(acquiring), cancellation))
            elif move < 7 and taken:
                pool.release(taken.pop(0))
            elif move == 7 and pool.endpoints:
                pool.remove(pool.endpoints[0].name)
            elif move == 8 and waiting:
                waiting[0][1].cancel("disconnected")
            elif move > 8:
                number += 1
                pool.add(engine(str(number), size))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for task, _ in [one for one in waiting if one[0].done()]:
                problem = None if task.cancelled() else task.exception()
                if isinstance(problem, ApiProblem):
                    assert problem.status == (503 if problem.code == "waking" else 429)
                elif not task.cancelled():
                    taken.append(task.result())
            waiting = [one for one in waiting if not one[0].done()]
            free = any(one.inflight < one.max_concurrency for one in pool.endpoints)
            assert not (free and waiting)
            assert len(waiting) == pool.held + pool.waking
            assert pool.inflight == len(taken)
        for task, _ in waiting:
            task.cancel()
        await asyncio.gather(*(task for task, _ in waiting), return_exceptions=True)

    asyncio.run(play())
