"""What waits in a gateway waits no longer than it says: for a turn, and for a client that takes nothing."""

from __future__ import annotations

import asyncio

import pytest

from daybreak_serve.gateway.http.asgi_io import ClientDisconnected, ResponseWriter
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.turns import Turn


async def test_a_turn_is_waited_for_no_longer_than_it_says() -> None:
    turn = Turn("questions", wait_s=0.02, max_waiting=4)
    async with turn.taken():
        with pytest.raises(ApiProblem) as caught:
            async with turn.taken():
                raise AssertionError("nobody else has the turn")
    assert (caught.value.status, caught.value.headers) == (429, {"retry-after": "1"})
    assert "other questions took 0.02 s" in caught.value.message
    async with turn.taken():
        """Who gave up holds nothing."""


async def test_no_more_wait_for_a_turn_than_it_says() -> None:
    turn = Turn("questions", wait_s=20, max_waiting=1)

    async def wait() -> None:
        async with turn.taken():
            """Its turn came."""

    async with turn.taken():
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        with pytest.raises(ApiProblem, match="1 questions wait already"):
            await wait()
    await waiting
    await wait()


async def test_a_client_that_takes_nothing_of_its_answer_is_given_up() -> None:
    """An agent's answer is longer than what the kernel keeps for a client that reads no more."""

    async def send(message: object) -> None:
        await asyncio.sleep(60)

    with pytest.raises(ClientDisconnected):
        await ResponseWriter(send, patience_s=0.02).write(b"data", more=True)
