"""Mirrored requests: which are drawn, what is made of their answers, and what a failing engine costs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from daybreak_contracts.routing import Routing
from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.gateway.events.counters import GatewayCounters
from daybreak_serve.gateway.experiments.fleet import ServedRevision, ServingFleet
from daybreak_serve.gateway.experiments.shadow import Shadow
from daybreak_serve.gateway.pool.endpoint_pool import Endpoint
from daybreak_serve.gateway.pool.readiness import Readiness
from daybreak_serve.gateway.pool.streams import EngineDown, EngineRefused

OLD, NEW = "0" * 64, "1" * 64
REQUEST: Any = SimpleNamespace(options=GenerationOptions(max_tokens=1))


class Answering:
    """An engine that answers, or fails in one way."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def open(self) -> Any:
        raise AssertionError("nobody streams here")

    def give_back(self, stream: Any) -> None:
        raise AssertionError("nobody streams here")

    async def is_ready(self) -> bool:
        return True

    async def complete(self, prompt_ids: Sequence[int], options: GenerationOptions) -> tuple[int, ...]:
        if self._error is not None:
            raise self._error
        return (1,)

    async def close(self) -> None:
        pass


class Composer:
    """Every prompt is the same."""

    async def compose(self, request: Any) -> Any:
        return SimpleNamespace(token_ids=(1, 2))


class Proven(Readiness):
    """An engine's state as after a golden completion."""

    def __init__(self) -> None:
        self.is_proven, self.is_wrong, self.reason = True, False, None


def a_shadow(percent: int, error: Exception | None = None) -> tuple[Shadow, ServedRevision, GatewayCounters]:
    fleet, counters = ServingFleet(5, random.Random(7), 30), GatewayCounters("g", lambda: 0.0)
    fleet.route(Routing(version=1, salt="s", stable=OLD, candidate=NEW, shadow_percent=percent))
    revision = fleet.revisions[NEW]
    revision.model = SimpleNamespace(composer=Composer(), metadata=SimpleNamespace(context_length=256))  # type: ignore[assignment]
    revision.pool.add(Endpoint("new", Answering(error), Proven(), 8))
    return Shadow(fleet, counters, random.Random(7), lambda: 0.0), revision, counters


async def mirror(shadow: Shadow, answered_by: str = OLD) -> bool:
    """One request that was answered; return whether it was mirrored."""
    wanted = shadow.wanted(answered_by)
    if wanted is not None:
        await shadow.ask(*wanted, REQUEST)
    return wanted is not None


async def test_the_wanted_share_is_drawn_of_the_stable_models_requests_alone() -> None:
    shadow, _, counters = a_shadow(10)
    mirrored = [await mirror(shadow) for _ in range(4000)]
    assert 320 <= sum(mirrored) <= 480  # 400, four standard deviations of a binomial are 76
    assert not any([await mirror(shadow, NEW) for _ in range(100)])
    counted = counters.model(NEW)
    assert (counted.shadow_requests, counted.shadow_errors) == (sum(mirrored), 0)
    assert (counted.requests, counted.errors, counted.seconds) == (0, 0, 0.0)


async def test_none_is_drawn_when_none_is_asked_for() -> None:
    shadow, _, _ = a_shadow(0)
    assert not any([await mirror(shadow) for _ in range(500)])


@pytest.mark.parametrize(
    ("error", "failures"),
    [
        pytest.param(EngineDown("connection refused"), 1, id="an engine that is away"),
        pytest.param(EngineRefused("the model broke"), 20, id="a model that fails each request"),
        pytest.param(None, 0, id="one that answers"),
    ],
)
async def test_a_machine_that_went_is_one_failure_and_a_model_that_fails_is_many(
    error: Exception | None, failures: int
) -> None:
    shadow, revision, counters = a_shadow(100, error)
    under_way = [wanted for _ in range(3) if (wanted := shadow.wanted(OLD)) is not None]
    assert len(under_way) == 3
    for wanted in under_way:
        await shadow.ask(*wanted, REQUEST)
    for _ in range(17):
        await mirror(shadow)
    assert counters.model(NEW).shadow_errors == failures
    assert revision.pool.inflight == 0
    assert [one.inflight for one in revision.pool.endpoints] == [0]
