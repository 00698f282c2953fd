"""What users notice of a rollout: how late a switch reaches them, and how many requests are lost on the way.

A gateway and its load generator share one process; engines are echo processes behind Triton's gRPC, the API server
is the tests' own over HTTP (`tests/serve/gateway/cluster/test_real_api.py` holds the same against a real one).
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from daybreak_contracts.kubernetes_access import Access
from daybreak_serve.modelfolder import ModelFolder
from tests.bench.row import Row
from tests.serve.api_server import DEPLOYMENTS, NAME, NAMESPACE, SLICES, TOKEN, ApiServer, deployment
from tests.serve.gateways import NEW, OLD, STAFF, Engine, RunningGateway, running_gateway

SWITCHES = 30
RATE = 100
LOAD_S = 4.0
PLACES = 64
"""In each engine: more than the load needs, so that nothing is turned away because the machine is busy."""


async def switch_seconds(api: ApiServer, gateway: RunningGateway) -> list[float]:
    """Turn the staff switch on and off; return when the first request of staff got the other model."""
    found = []
    for number in range(SWITCHES):
        staff = number % 2 == 0
        began = time.perf_counter()
        await api.put(
            DEPLOYMENTS, deployment(version=number + 10, stable=OLD, candidate=NEW, staff=staff, holdMs=5000)
        )
        while (await gateway.answerer(headers=STAFF)).startswith("new") != staff:
            await asyncio.sleep(0)
        found.append(time.perf_counter() - began)
    return found


async def lost_during(gateway: RunningGateway, event: Callable[[], Awaitable[None]]) -> tuple[int, int]:
    """Send requests at a rate, let something happen in the middle; return how many were lost and sent."""
    loop, tasks = asyncio.get_running_loop(), []
    began, num = loop.time(), int(LOAD_S * RATE)
    for number in range(num):
        await asyncio.sleep(max(0.0, began + number / RATE - loop.time()))
        if number == num // 2:
            await event()
        tasks.append(asyncio.create_task(gateway.ask(f"user-{number}", max_tokens=2, temperature=0.2)))
    answers = await asyncio.gather(*tasks)
    return sum(answer.status_code != 200 for answer in answers), num


async def rows_of(folder: Path, model: ModelFolder) -> list[Row]:
    """Measure switches, then a kill, a drain, a promotion and a rollback under load."""
    engines = {
        name: Engine(folder, model, digest, name, max_concurrency=PLACES)
        for name, digest in (("old-a", OLD), ("old-b", OLD), ("old-c", OLD), ("new-a", NEW), ("new-b", NEW))
    }
    api = ApiServer()
    (folder / "token").write_text(TOKEN)
    async with contextlib.AsyncExitStack() as stack:
        for one in engines.values():
            stack.callback(one.child.stop, 1)
        await asyncio.gather(*(one.wait() for one in engines.values()))
        await api.start()
        stack.push_async_callback(api.stop)
        for one in engines.values():
            await api.put(SLICES, one.slice())
        await api.put(DEPLOYMENTS, deployment(stable=OLD, candidate=NEW, holdMs=5000))
        access = Access(api.url, folder / "token")
        gateway = await stack.enter_async_context(running_gateway(access, NAMESPACE, NAME))
        await gateway.ready()
        seconds = await switch_seconds(api, gateway)

        async def kill() -> None:
            engines["old-a"].child.kill()

        async def drain() -> None:
            await api.put(SLICES, engines["old-b"].slice(ready=False, terminating=True))
            await api.delete(SLICES, "old-b")

        async def promote() -> None:
            await api.put(DEPLOYMENTS, deployment(version=90, stable=NEW, holdMs=5000))

        async def roll_back() -> None:
            await api.put(DEPLOYMENTS, deployment(version=91, stable=OLD, holdMs=5000))

        rows = [
            Row("switch to routing, the slowest of 30", max(seconds), "s", "<= 2"),
            Row("switch to routing, P50", statistics.median(seconds), "s", ""),
        ]
        for what, event in (
            ("an engine is killed", kill),
            ("an engine is drained", drain),
            ("a model is promoted", promote),
            ("a model is rolled back", roll_back),
        ):
            lost, sent = await lost_during(gateway, event)
            rows.append(Row(f"requests lost while {what}, at {RATE}/s", lost, "", "0", note=f"of {sent}"))
        return rows


def measure() -> list[Row]:
    """Measure all of it."""
    from tests.bench.serve.gateway import echo_model

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return uvloop.run(rows_of(folder, echo_model(folder)))
