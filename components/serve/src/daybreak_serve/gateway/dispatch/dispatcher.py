"""Asking engines for one request: which revision, which engine, and whether another one may be tried.

Another engine is tried until a part of the response was sent: an engine that dies loses no request. Owns neither
the HTTP exchange nor what is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from daybreak_contracts.routing import Routing
from daybreak_model.fim import ComposedPrompt
from daybreak_serve.engine.protocol import Chunk
from daybreak_serve.gateway.experiments.fleet import RevisionModel, ServedRevision, ServingFleet
from daybreak_serve.gateway.http import problems
from daybreak_serve.gateway.http.cancellation import Cancellation
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import CompletionRequest
from daybreak_serve.gateway.pool.endpoint_pool import Endpoint
from daybreak_serve.gateway.pool.prompts import fitted
from daybreak_serve.gateway.pool.streams import EngineDown, EngineRefused, EngineStream, infer_request
from daybreak_serve.gateway.pool.waking import WakeHold

MAX_TRIES = 3
"""Engines that one request may be sent to: two dying ones are bad luck, three are a reason to tell the client."""
FALLBACK_CODES = (problems.NO_ENGINE, problems.ENGINE_DOWN)


@dataclass(frozen=True)
class RequestContext:
    """One request, as far as engines are concerned."""

    request: CompletionRequest
    groups: tuple[str, ...]
    owner: str
    """Whose share of the engines it takes: the user, or where there is no name the address it came from."""
    cancellation: Cancellation
    request_id: str
    on_chunk: Callable[[Chunk], Awaitable[bool]]
    """Takes a chunk and tells whether the text is complete: the rest need not be made."""
    on_try: Callable[[ServedRevision, RevisionModel, ComposedPrompt], None]
    """Told before each try; what an earlier one brought is void then."""
    on_acquired: Callable[[bool], None]
    """Told when the waiting for a place has ended, and whether an engine had to come up for it."""
    on_engine_failure: Callable[[], None]
    """Told when an engine that was believed to be well brought no answer; another one may be tried."""


async def dispatch(fleet: ServingFleet, context: RequestContext) -> None:
    """Have a request answered; a `ApiProblem` tells why it was not.

    A request that waited for a model which is no longer routed begins anew by the routing that is in force now.
    """
    came_s = asyncio.get_running_loop().time()
    while True:
        routing = fleet.routing
        try:
            choices = fleet.choices(context.request.user, context.groups)
            return await _dispatch_by(routing, choices, context, came_s)
        except ApiProblem as problem:
            if fleet.routing is routing or not _may_be_retried(problem, context):
                raise


def _may_be_retried(problem: ApiProblem, context: RequestContext) -> bool:
    return problem.code in FALLBACK_CODES and context.cancellation.cancelled is None


async def _dispatch_by(
    routing: Routing | None, choices: list[ServedRevision], context: RequestContext, came_s: float
) -> None:
    """Ask the first revision that has an engine; only the stable model's is waited for where there is none."""
    if routing is None or not choices:
        raise problems.no_engine("no model serves yet")
    hold_s = routing.hold_ms / 1000
    for revision in choices[:-1]:
        try:
            return await _dispatch_to_revision(revision, context, hold_s)
        except ApiProblem as problem:
            if not _may_be_retried(problem, context):
                raise
    wake = WakeHold(came_s + routing.wake_seconds, routing.cold_start_seconds)
    return await _dispatch_to_revision(
        choices[-1], context, hold_s, wake if routing.wake_seconds and _is_early(wake) else None
    )


def _is_early(wake: WakeHold) -> bool:
    return wake.until_s > asyncio.get_running_loop().time()


async def _dispatch_to_revision(
    revision: ServedRevision, context: RequestContext, hold_s: float, wake: WakeHold | None = None
) -> None:
    """Ask engines of one revision until one answers."""
    tried: list[Endpoint] = []
    while True:
        context.cancellation.stage = "queue"
        endpoint = await revision.pool.acquire(context.cancellation, hold_s, tried, context.owner, wake)
        try:
            context.on_acquired(wake is not None and wake.was_needed)
            return await _dispatch_to_endpoint(revision, endpoint, context)
        except ApiProblem as problem:
            tried.append(endpoint)
            is_over = context.cancellation.cancelled or len(tried) == MAX_TRIES
            may_wake = wake is not None and _is_early(wake)
            if (
                problem.code != problems.ENGINE_DOWN
                or is_over
                or not (may_wake or revision.pool.usable(tried))
            ):
                raise
        finally:
            revision.pool.release(endpoint, context.owner)


async def _dispatch_to_endpoint(
    revision: ServedRevision, endpoint: Endpoint, context: RequestContext
) -> None:
    model = revision.model
    assert model is not None, "engines are added after their metadata"
    prompt = await model.composer.compose(context.request)
    context.on_try(revision, model, prompt)
    context.cancellation.stage = "prefill"
    was_well = endpoint.readiness.reason is None
    stream = endpoint.engine.open()
    context.cancellation.on_cancel(stream.cancel)
    try:
        options = fitted(context.request.options, prompt, model.metadata)
        await stream.ask(infer_request(prompt.token_ids, options, context.request_id))
        await _relay(stream, context)
    except EngineDown as error:
        if not context.cancellation.cancelled:
            endpoint.readiness.suspect(f"a request found it down: {error}")
            _report_failure(context, was_well)
        raise problems.engine_down(f"the engine does not answer: {error}") from error
    except EngineRefused as error:
        problem = problems.engine_failed(str(error))
        if problem.code == problems.ENGINE_DOWN:
            endpoint.readiness.suspect(str(error))
            _report_failure(context, was_well)
        else:
            endpoint.readiness.distrust()
        raise problem from error
    finally:
        endpoint.engine.give_back(stream)


def _report_failure(context: RequestContext, was_well: bool) -> None:
    if was_well:
        context.on_engine_failure()


async def _relay(stream: EngineStream, context: RequestContext) -> None:
    """Pass chunks on until the last."""
    reason = None
    while (chunk := await stream.next_chunk()) is not None:
        reason = chunk.finish_reason
        if await context.on_chunk(chunk) and reason is None:
            stream.cancel()
            return
    if reason is None:
        raise EngineDown("it ended without a last word")
