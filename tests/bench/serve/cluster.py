"""What a bench of a cluster's gateway stands on: echo engines, an API server of our own, a gateway that follows it.

The gateway shares this process with the load generator; engines are processes behind Triton's gRPC.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daybreak_contracts.kubernetes_access import Access
from daybreak_serve.modelfolder import ModelFolder
from tests.serve.api_server import DEPLOYMENTS, NAME, NAMESPACE, SLICES, TOKEN, ApiServer, deployment
from tests.serve.gateways import Engine, RunningGateway, running_gateway

PLACES = 64
"""In each engine: more than the load needs, so that nothing is turned away because the machine is busy."""
HOLD_MS = 5000


@dataclass(frozen=True)
class BenchCluster:
    """What runs."""

    engines: Mapping[str, Engine]
    api: ApiServer
    gateway: RunningGateway

    async def route(self, **status: Any) -> None:
        """Put a routing document in force."""
        await self.api.put(DEPLOYMENTS, deployment(holdMs=HOLD_MS, **status))


@contextlib.asynccontextmanager
async def running_cluster(
    folder: Path,
    model: ModelFolder,
    digests: Mapping[str, str],
    routing: Mapping[str, Any],
    label: str | None = None,
) -> AsyncIterator[BenchCluster]:
    """Run an engine a name, each of a digest, and a gateway that is ready and routes so."""
    engines = {
        name: Engine(folder, model, digest, name, label, max_concurrency=PLACES)
        for name, digest in digests.items()
    }
    (folder / "token").write_text(TOKEN)
    api = ApiServer()
    async with contextlib.AsyncExitStack() as stack:
        for one in engines.values():
            stack.callback(one.child.stop, 1)
        await asyncio.gather(*(one.wait() for one in engines.values()))
        await api.start()
        stack.push_async_callback(api.stop)
        for one in engines.values():
            await api.put(SLICES, one.slice())
        access = Access(api.url, folder / "token")
        await api.put(DEPLOYMENTS, deployment(holdMs=HOLD_MS, **routing))
        gateway = await stack.enter_async_context(running_gateway(access, NAMESPACE, NAME))
        await gateway.ready()
        yield BenchCluster(engines, api, gateway)
