"""What users notice of a rollout: how late a switch reaches them, and how many requests are lost on the way.

What it stands on is `cluster`'s; `test_real_api.py` holds the same against a real API server.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from daybreak_serve.modelfolder import ModelFolder
from tests.bench.row import Row
from tests.bench.serve.cluster import BenchCluster, running_cluster
from tests.serve.api_server import SLICES
from tests.serve.gateways import NEW, OLD, STAFF, RunningGateway

SWITCHES = 30
RATE = 100
LOAD_S = 4.0


async def switch_seconds(cluster: BenchCluster) -> list[float]:
    """Turn the staff switch on and off; return when the first request of staff got the other model."""
    found = []
    for number in range(SWITCHES):
        staff = number % 2 == 0
        began = time.perf_counter()
        await cluster.route(version=number + 10, stable=OLD, candidate=NEW, staff=staff)
        while (await cluster.gateway.answerer(headers=STAFF)).startswith("new") != staff:
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
    digests = {"old-a": OLD, "old-b": OLD, "old-c": OLD, "new-a": NEW, "new-b": NEW}
    async with running_cluster(folder, model, digests, {"stable": OLD, "candidate": NEW}) as cluster:
        engines, api, gateway = cluster.engines, cluster.api, cluster.gateway
        seconds = await switch_seconds(cluster)

        async def kill() -> None:
            engines["old-a"].child.kill()

        async def drain() -> None:
            await api.put(SLICES, engines["old-b"].slice(ready=False, terminating=True))
            await api.delete(SLICES, "old-b")

        async def promote() -> None:
            await cluster.route(version=90, stable=NEW)

        async def roll_back() -> None:
            await cluster.route(version=91, stable=OLD)

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
