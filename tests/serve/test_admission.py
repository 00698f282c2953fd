"""Places, the queue before them, and who gives up whose request."""

from __future__ import annotations

import asyncio

import pytest

from daybreak_serve.gateway.admission import Admission, Supersession, Ticket
from daybreak_serve.gateway.problems import Problem


async def test_places_are_given_in_order_of_arrival() -> None:
    admission = Admission(max_inflight=1, max_held=5, hold_s=5)
    order: list[int] = []

    async def visit(number: int) -> None:
        await admission.enter(Ticket())
        order.append(number)
        await asyncio.sleep(0)
        admission.leave()

    await asyncio.gather(*(visit(number) for number in range(5)))
    assert order == [0, 1, 2, 3, 4]
    assert (admission.inflight, admission.held) == (0, 0)


async def test_a_full_queue_turns_away_at_once() -> None:
    admission = Admission(max_inflight=1, max_held=0, hold_s=5)
    await admission.enter(Ticket())
    with pytest.raises(Problem) as caught:
        await admission.enter(Ticket())
    assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "1"})


async def test_patience_ends() -> None:
    admission = Admission(max_inflight=1, max_held=1, hold_s=0.01)
    await admission.enter(Ticket())
    with pytest.raises(Problem, match="within 10 ms"):
        await admission.enter(Ticket())
    assert (admission.inflight, admission.held) == (1, 0)


async def test_a_ticket_cancelled_in_the_queue_leaves_it() -> None:
    admission, ticket = Admission(max_inflight=1, max_held=1, hold_s=5), Ticket()
    await admission.enter(Ticket())
    waiting = asyncio.create_task(admission.enter(ticket))
    await asyncio.sleep(0)
    ticket.cancel("disconnected")
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert admission.held == 0
    admission.leave()
    assert admission.inflight == 0


async def test_a_place_given_in_the_moment_of_cancelling_is_not_lost() -> None:
    admission = Admission(max_inflight=1, max_held=2, hold_s=5)
    await admission.enter(Ticket())
    unlucky, next_one = (asyncio.create_task(admission.enter(Ticket())) for _ in range(2))
    await asyncio.sleep(0)
    admission.leave()  # the place is the unlucky one's
    unlucky.cancel()  # before it woke up
    with pytest.raises(asyncio.CancelledError):
        await unlucky
    await asyncio.wait_for(next_one, 1)
    assert admission.inflight == 1


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
