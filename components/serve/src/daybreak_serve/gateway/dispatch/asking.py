"""Asking engines for one request: which revision, which engine, and whether another one may be tried.

Another engine is tried as long as the asker has got nothing: an engine that dies loses no request. Owns neither
the HTTP exchange nor what is counted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from daybreak_contracts.routing import Routing
from daybreak_model.fim import ComposedPrompt
from daybreak_serve.engine.protocol import Chunk
from daybreak_serve.gateway.experiments.fleet import Fleet, Model, Revision
from daybreak_serve.gateway.http import problems
from daybreak_serve.gateway.http.problems import Problem
from daybreak_serve.gateway.http.requests import CompletionRequest
from daybreak_serve.gateway.http.tickets import Ticket
from daybreak_serve.gateway.pool.places import Endpoint
from daybreak_serve.gateway.pool.streams import EngineDown, EngineRefused, EngineStream, infer_request

MAX_TRIES = 3
"""Engines that one request may be sent to: two dying ones are bad luck, three are a reason to tell the asker."""
FALLBACK_CODES = (problems.NO_ENGINE, problems.ENGINE_DOWN)


@dataclass(frozen=True)
class Asker:
    """One request, as far as engines are concerned."""

    request: CompletionRequest
    groups: tuple[str, ...]
    ticket: Ticket
    request_id: str
    has_got_something: Callable[[], bool]
    """Whether a part of the answer was sent to who asked: from then on nothing can be tried again."""
    on_chunk: Callable[[Chunk], Awaitable[None]]
    on_try: Callable[[Revision, Model, ComposedPrompt], None]
    """Told before each try; what an earlier one brought is void then."""
    on_place: Callable[[], None]
    """Told when the waiting for a place has ended."""
    on_let_down: Callable[[], None]
    """Told when an engine that was believed to be well brought no answer; another one may be tried."""


async def ask(fleet: Fleet, asker: Asker) -> None:
    """Have a request answered; a `Problem` tells why it was not.

    A request that waited for a model which is no longer routed begins anew by the routing that is in force now.
    """
    while True:
        routing = fleet.routing
        try:
            return await _ask_by(routing, fleet.choices(asker.request.user, asker.groups), asker)
        except Problem as problem:
            if fleet.routing is routing or not _may_go_elsewhere(problem, asker):
                raise


def _may_go_elsewhere(problem: Problem, asker: Asker) -> bool:
    is_begun = asker.has_got_something() or asker.ticket.cancelled is not None
    return problem.code in FALLBACK_CODES and not is_begun


async def _ask_by(routing: Routing | None, choices: list[Revision], asker: Asker) -> None:
    """Ask the first revision that has an engine."""
    if routing is None or not choices:
        raise problems.no_engine("no model serves yet")
    hold_s = routing.hold_ms / 1000
    for revision in choices[:-1]:
        try:
            return await _ask_revision(revision, asker, hold_s)
        except Problem as problem:
            if not _may_go_elsewhere(problem, asker):
                raise
    return await _ask_revision(choices[-1], asker, hold_s)


async def _ask_revision(revision: Revision, asker: Asker, hold_s: float) -> None:
    """Ask engines of one revision until one answers."""
    tried: list[Endpoint] = []
    while True:
        asker.ticket.stage = "queue"
        endpoint = await revision.places.enter(asker.ticket, hold_s, tried)
        try:
            asker.on_place()
            return await _ask_endpoint(revision, endpoint, asker)
        except Problem as problem:
            tried.append(endpoint)
            is_over = asker.has_got_something() or asker.ticket.cancelled or len(tried) == MAX_TRIES
            if problem.code != problems.ENGINE_DOWN or is_over or not revision.places.usable(tried):
                raise
        finally:
            revision.places.leave(endpoint)


async def _ask_endpoint(revision: Revision, endpoint: Endpoint, asker: Asker) -> None:
    model = revision.model
    assert model is not None, "engines are added after their card"
    prompt = await model.composer.compose(asker.request)
    asker.on_try(revision, model, prompt)
    asker.ticket.stage = "prefill"
    was_well = endpoint.readiness.reason is None
    stream = endpoint.engine.open()
    asker.ticket.on_cancel(stream.cancel)
    try:
        await stream.ask(infer_request(prompt.token_ids, asker.request.options, asker.request_id))
        await _relay(stream, asker)
    except EngineDown as error:
        if not asker.ticket.cancelled:
            endpoint.readiness.suspect(f"a request found it down: {error}")
            _tell(asker, was_well)
        raise problems.engine_down(f"the engine does not answer: {error}") from error
    except EngineRefused as error:
        problem = problems.engine_failed(str(error))
        if problem.code == problems.ENGINE_DOWN:
            endpoint.readiness.suspect(str(error))
            _tell(asker, was_well)
        else:
            endpoint.readiness.distrust()
        raise problem from error
    finally:
        endpoint.engine.give_back(stream)


def _tell(asker: Asker, was_well: bool) -> None:
    if was_well:
        asker.on_let_down()


async def _relay(stream: EngineStream, asker: Asker) -> None:
    """Pass chunks on until the last."""
    reason = None
    while (chunk := await stream.next_chunk()) is not None:
        reason = chunk.finish_reason
        await asker.on_chunk(chunk)
    if reason is None:
        raise EngineDown("it ended without a last word")
