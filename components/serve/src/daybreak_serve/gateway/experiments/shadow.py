"""Mirroring: the candidate of a rollout is asked what the stable model has answered; nobody sees what it says.

Owns which requests are mirrored and what counts as a failure of the candidate.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from daybreak_serve.gateway.events.counters import GatewayCounters
from daybreak_serve.gateway.experiments.fleet import ServedRevision, ServingFleet
from daybreak_serve.gateway.http import problems
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import CompletionRequest
from daybreak_serve.gateway.pool.endpoint_pool import Endpoint
from daybreak_serve.gateway.pool.prompts import fitted
from daybreak_serve.gateway.pool.streams import EngineDown, EngineRefused


class Shadow:
    """Mirrors requests to the candidate after their answer; nobody sees what it says.

    Lowest priority: only engines that are at most half busy are asked, and nobody ever waits for it. As with users'
    requests, an engine that is found away is asked nothing more until it is proven anew. A machine that went is one
    failure, whatever it was working on: nobody asks again for what is lost, so more would tell nothing more.
    """

    def __init__(
        self,
        fleet: ServingFleet,
        counters: GatewayCounters,
        chance: random.Random,
        clock: Callable[[], float],
    ) -> None:
        self._fleet = fleet
        self._counters = counters
        self._chance = chance
        self._clock = clock

    def wanted(self, answered_by: str) -> tuple[ServedRevision, Endpoint] | None:
        """Draw whether a request is mirrored; return the candidate and a place in one of its engines."""
        routing = self._fleet.routing
        if routing is None or routing.candidate is None or answered_by != routing.stable:
            return None
        if routing.candidate == routing.stable or self._chance.random() * 100 >= routing.shadow_percent:
            return None
        revision = self._fleet.revisions[routing.candidate]
        endpoint = revision.pool.acquire_spare()
        return None if endpoint is None else (revision, endpoint)

    async def ask(self, revision: ServedRevision, endpoint: Endpoint, request: CompletionRequest) -> None:
        """Ask the candidate and count what came of it."""
        began_s, failed, counts = self._clock(), True, True
        try:
            assert revision.model is not None, "engines are added after their metadata"
            prompt = await revision.model.composer.compose(request)
            options = fitted(request.options, prompt, revision.model.metadata)
            await endpoint.engine.complete(prompt.token_ids, options)
            failed = False
        except ApiProblem:
            pass  # a conversation that this model takes no part in: its users would get that answer
        except EngineDown as error:
            counts = _is_news(endpoint, f"a mirrored request found it down: {error}")
        except EngineRefused as error:
            if problems.engine_failed(str(error)).code == problems.ENGINE_DOWN:
                counts = _is_news(endpoint, str(error))
            else:
                endpoint.readiness.distrust()
        finally:
            revision.pool.release_spare(endpoint)
        if counts:
            self._counters.shadow(revision.digest, self._clock() - began_s, failed=failed)


def _is_news(endpoint: Endpoint, reason: str) -> bool:
    """Believe an engine to be down; return whether it was believed to be well so far."""
    was_well = endpoint.readiness.reason is None
    endpoint.readiness.suspect(reason)
    return was_well
