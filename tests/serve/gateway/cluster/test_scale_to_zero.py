"""A gateway whose model may sleep: it holds who asks, answers when an engine is there, and says when to come again.

Engines are processes that speak Triton's gRPC; the API server is `api_server`, over real HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import openai
import pytest

from daybreak_contracts.kubernetes_access import Access
from daybreak_serve.engine.triton import free_port
from tests.serve.api_server import DEPLOYMENTS, NAME, NAMESPACE, SLICES, TOKEN, ApiServer, deployment
from tests.serve.gateway.cluster.test_cluster_gateway import Cluster
from tests.serve.gateways import OLD, Engine, gateway_process, running_gateway, until

pytestmark = pytest.mark.slow

SLEEPY = {"stable": OLD, "wakeSeconds": 20}


@pytest.fixture
async def api(engines: dict[str, Engine], tmp_path: Path) -> AsyncIterator[ApiServer]:
    await asyncio.gather(*(one.wait() for one in engines.values()))
    server = ApiServer()
    await server.start()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    yield server
    await server.stop()


@pytest.fixture
async def asleep(api: ApiServer, tmp_path: Path) -> AsyncIterator[Cluster]:
    """A gateway whose stable model has no engine, and may sleep."""
    await api.put(DEPLOYMENTS, deployment(**SLEEPY))
    async with running_gateway(Access(api.url, tmp_path / "token"), NAMESPACE, NAME) as gateway:
        found = Cluster(**vars(gateway), api=api)
        await found.ready()
        yield found


def waking(cluster: Cluster, number: int) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        return (await cluster.snapshot()).waking == number

    return is_so


async def test_who_only_looks_finds_it_well_and_wakes_nothing(asleep: Cluster) -> None:
    before = await asleep.snapshot()
    for path in ("/healthz", "/readyz", "/livez", "/health", "/v1/health", "/v1/models/daybreak"):
        assert (await asleep.client.get(path)).status_code == 200, path
    (model,) = (await asleep.client.get("/v1/models")).json()["data"]
    assert (model["id"], model["digest"]) == ("daybreak", OLD)
    assert (await asleep.client.post("/v1/completions", json={"temperature": -1})).status_code == 400
    after = await asleep.snapshot()
    assert after.quiet_since == before.quiet_since == before.started


async def test_the_first_request_waits_and_is_answered_when_an_engine_comes(
    asleep: Cluster, engines: dict[str, Engine]
) -> None:
    began = time.time()
    asking = [asyncio.create_task(asleep.answerer(f"user-{number}")) for number in range(12)]
    await until(waking(asleep, 12))
    told = await asleep.snapshot()
    assert (told.held, told.inflight) == (0, 0)
    assert told.quiet_since is not None
    assert told.quiet_since >= began
    await asyncio.sleep(1)
    await asleep.list(engines["old-a"])
    assert await asyncio.gather(*asking) == ["old-a"] * 12
    told = await asleep.snapshot()
    counted = told.models[OLD]
    assert (counted.requests, counted.errors, told.rejected, told.waking) == (12, 0, 0, 0)
    assert counted.seconds < 6.0, "the second of waiting is not the model's"
    assert told.queue_p95_ms < 900, "nor a sign of busy engines"
    metrics = (await asleep.client.get(f"{asleep.metrics_url}/metrics")).text
    assert "gw_wake_seconds_count 12.0" in metrics


async def test_a_stream_waits_too(asleep: Cluster, engines: dict[str, Engine]) -> None:
    client = openai.AsyncOpenAI(base_url=f"{asleep.client.base_url}/v1", api_key="none", max_retries=0)

    async def read() -> str:
        stream = await client.completions.create(model="daybreak", prompt="x", max_tokens=3, stream=True)
        return "".join([piece.choices[0].text async for piece in stream if piece.choices])

    reading = asyncio.create_task(read())
    await until(waking(asleep, 1))
    await asleep.list(engines["old-a"])
    assert (await reading).split() == ["old-a"] * 3
    await client.close()


async def test_who_leaves_frees_the_place_and_has_woken_it_all_the_same(asleep: Cluster) -> None:
    asking = asyncio.create_task(asleep.ask())
    await until(waking(asleep, 1))
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    await until(waking(asleep, 0))
    told = await asleep.snapshot()
    assert told.quiet_since is not None
    assert told.quiet_since > told.started


async def test_beyond_the_time_it_is_told_when_to_come_again(asleep: Cluster) -> None:
    await asleep.route(version=2, stable=OLD, wakeSeconds=1, coldStartSeconds=90)

    async def is_acted_by() -> bool:
        return (await asleep.snapshot()).routing_version == 2

    await until(is_acted_by)
    began = time.monotonic()
    response = await asleep.ask()
    assert 0.9 < time.monotonic() - began < 10
    assert (response.status_code, response.json()["error"]["code"]) == (503, "waking")
    assert 80 <= int(response.headers["retry-after"]) <= 89
    assert "the last start took 90 s" in response.json()["error"]["message"]
    told = await asleep.snapshot()
    assert (told.rejected, OLD not in told.models or told.models[OLD].errors == 0) == (1, True)
    again = await asleep.ask()
    assert int(again.headers["retry-after"]) < int(response.headers["retry-after"])


async def test_no_request_falls_between_an_engine_that_goes_and_the_next_one(
    asleep: Cluster, engines: dict[str, Engine]
) -> None:
    await asleep.list(engines["old-a"])
    assert await asleep.answerer() == "old-a"
    stop = asyncio.Event()
    found: list[str] = []

    async def type_on(user: str) -> None:
        while not stop.is_set():
            found.append(await asleep.answerer(user))
            await asyncio.sleep(0.01)

    typing = [asyncio.create_task(type_on(f"user-{number}")) for number in range(4)]
    await asyncio.sleep(0.3)
    await asleep.list(engines["old-a"], ready=False, serving=True, terminating=True)
    await until(waking(asleep, 4))
    await asyncio.sleep(0.5)
    await asleep.list(engines["old-b"])

    async def is_answered() -> bool:
        return "old-b" in found

    await until(is_answered)
    stop.set()
    await asyncio.gather(*typing)
    assert set(found) == {"old-a", "old-b"}


async def test_an_engine_that_dies_of_going_to_sleep_loses_no_request(
    asleep: Cluster, engines: dict[str, Engine], api: ApiServer
) -> None:
    """It is still listed, but nobody is there: who asks finds it down, and waits for another one."""
    gone = engines["old-a"].slice()
    gone["ports"] = [
        {**port, "port": free_port()} if port["name"] == "grpc" else port for port in gone["ports"]
    ]
    await api.put(SLICES, gone)
    asking = asyncio.create_task(asleep.answerer())
    await asyncio.sleep(0.5)
    await asleep.list(engines["old-b"])
    assert await asking == "old-b"


@pytest.mark.slow
async def test_a_gateway_that_ends_sends_away_whom_it_holds(api: ApiServer, tmp_path: Path) -> None:
    await api.put(DEPLOYMENTS, deployment(**SLEEPY))
    async with gateway_process(api.url, f"{NAMESPACE}/{NAME}", tmp_path, 30) as gateway:
        asking = asyncio.create_task(gateway.client.post("/v1/completions", json={"prompt": "x"}))

        async def is_held() -> bool:
            return "gw_waking 1.0" in (await gateway.client.get(gateway.metrics_url)).text

        await until(is_held)
        os.kill(gateway.child.pid, signal.SIGTERM)
        response = await asking
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
