"""Engines as processes and a gateway in this process: what the plays of a cluster's gateway are made of."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from daybreak_contracts.kubernetes_access import Access
from daybreak_contracts.metrics_snapshot import GatewaySnapshot
from daybreak_contracts.ports import free_port
from daybreak_serve.gateway.cluster.endpoint_slices import ListedEndpoint, as_listed
from daybreak_serve.gateway.config import GatewaySettings
from daybreak_serve.model_metadata import ModelMetadata, metadata_of
from daybreak_serve.modelfolder import ModelFolder
from daybreak_serve.pod.gateway import GatewayArgs, GatewayPod
from daybreak_serve.pod.listening import SideServer
from daybreak_serve.process import Child
from tests.serve.api_server import endpoint_slice

OLD, NEW = "0" * 64, "1" * 64
ECHO = Path(__file__).with_name("echo_engine.py")
STAFF = {"x-daybreak-user": "grace", "x-daybreak-groups": "dev, staff"}


class Engine:
    """One echo engine as a process, and its EndpointSlice."""

    def __init__(
        self,
        folder: Path,
        model: ModelFolder,
        digest: str,
        name: str,
        label: str | None = None,
        **metadata: Any,
    ) -> None:
        self.name = name
        self.ports = (free_port(), free_port())
        shown = metadata_of(model, content_digest="c" * 64, max_concurrency=8)
        values = {"digest": digest, "golden_prompt_ids": (), "golden_token_ids": (), **metadata}
        self._metadata = ModelMetadata.model_validate({**shown.model_dump(), **values})
        self._file = folder / f"{name}.json"
        self.trouble = folder / f"{name}.trouble"
        """While this file is there, every second request is answered with an error."""
        self.show(digest)
        tokenizer = str(model.path / "tokenizer.json")
        files = [str(self._file), tokenizer, str(self.trouble)]
        command = [sys.executable, str(ECHO), label or name, *files, *map(str, self.ports)]
        self.child = Child(command, os.environ, folder / f"{name}.log")

    def show(self, digest: str) -> None:
        """Be an engine of this model from now on."""
        self.digest = digest
        metadata = self._metadata.model_copy(update={"digest": digest})
        self._file.write_text(metadata.model_dump_json(by_alias=True))

    async def wait(self) -> None:
        """Wait until it answers."""
        async with httpx.AsyncClient(trust_env=False) as client:
            async with asyncio.timeout(60):
                while True:
                    assert self.child.exit_code is None, self.child.log_tail()
                    with contextlib.suppress(httpx.TransportError):
                        await client.get(f"http://127.0.0.1:{self.ports[1]}/model")
                        return
                    await asyncio.sleep(0.05)

    def slice(self, **conditions: bool) -> dict[str, Any]:
        return endpoint_slice(self.digest, self.name, self.ports, **conditions)


@dataclass
class RunningGateway:
    """A gateway that answers, and what it logged."""

    port: int
    metrics_url: str
    client: httpx.AsyncClient
    lines: list[str]

    async def ask(
        self, user: str | None = None, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        return await self.client.post(
            "/v1/completions",
            json={"prompt": "x", "max_tokens": 1, **({"user": user} if user else {}), **body},
            headers=headers,
        )

    async def answerer(self, user: str | None = None, headers: dict[str, str] | None = None) -> str:
        """Return the name of the engine that answers."""
        response = await self.ask(user, headers)
        assert response.status_code == 200, response.text
        return str(response.json()["choices"][0]["text"]).strip()

    async def is_answered_by(self, name: str) -> bool:
        """Return whether this engine answers; a revision that is routed to is looked up first, which takes a while."""
        response = await self.ask()
        return response.status_code == 200 and str(response.json()["choices"][0]["text"]).strip() == name

    async def snapshot(self) -> GatewaySnapshot:
        response = await self.client.get(f"{self.metrics_url}/snapshot")
        return GatewaySnapshot.model_validate_json(response.content)

    async def ready(self, status: int = 200) -> str:
        """Wait until the gateway says that it is (not) ready; return the reason."""
        async with asyncio.timeout(30):
            while (response := await self.client.get("/readyz")).status_code != status:
                await asyncio.sleep(0.01)
        return str(response.json().get("reason"))


async def until(condition: Callable[[], Awaitable[bool]], timeout_s: float = 20.0) -> float:
    """Wait for a condition; return the seconds it took."""
    began = time.monotonic()
    async with asyncio.timeout(timeout_s):
        while not await condition():
            await asyncio.sleep(0.005)
    return time.monotonic() - began


@contextlib.asynccontextmanager
async def running_gateway(
    access: Access,
    namespace: str,
    name: str,
    locate: Callable[[ListedEndpoint], ListedEndpoint] = as_listed,
    *,
    host: str = "127.0.0.1",
    metrics_port: int = 0,
    **changes: Any,
) -> AsyncIterator[RunningGateway]:
    """Run a gateway that follows a ModelDeployment; its metrics are at a free port unless one is named."""
    settings = GatewaySettings(host=host, port=free_port(), probe_interval_s=0.05, **changes)
    args = GatewayArgs(
        namespace=namespace,
        deployment=name,
        access=access,
        settings=settings,
        metrics_port=metrics_port or free_port(),
        linger_s=0,
        address=host,
        locate=locate,
    )
    lines: list[str] = []
    server = SideServer(
        uvicorn.Config(
            GatewayPod(args, lines.append).app,
            host=host,
            port=settings.port,
            log_level="critical",
            ws="none",
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve())
    url = f"http://{host}:{settings.port}"
    async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
        while not server.started:
            assert not serving.done()
            await asyncio.sleep(0.01)
        yield RunningGateway(settings.port, f"http://{host}:{args.metrics_port}", client, lines)
    server.should_exit = True
    await serving


@dataclass(frozen=True)
class GatewayProcess:
    """A pod's gateway as a process of its own."""

    child: Child
    client: httpx.AsyncClient
    metrics_url: str


@contextlib.asynccontextmanager
async def gateway_process(
    api_url: str, deployment: str, folder: Path, timeout_s: float
) -> AsyncIterator[GatewayProcess]:
    """Start one and wait until it is ready; whoever uses it tells it to end, and it must end well."""
    port, metrics_port = free_port(), free_port()
    options = f"--deployment {deployment} --host 127.0.0.1 --port {port} --metrics-port {metrics_port}"
    options += f" --api-server {api_url} --token-file {folder / 'token'} --linger-seconds 1"
    command = [sys.executable, "-m", "daybreak_serve.pod", "gateway", *options.split()]
    child = Child(command, os.environ, folder / "log")
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=timeout_s, trust_env=False) as client:

            async def is_ready() -> bool:
                assert child.exit_code is None, child.log_tail()
                with contextlib.suppress(httpx.TransportError):
                    return (await client.get("/readyz")).status_code == 200
                return False

            await until(is_ready, 60)
            yield GatewayProcess(child, client, f"http://127.0.0.1:{metrics_port}/metrics")
        assert await asyncio.to_thread(child.wait, 20)
        assert child.exit_code == 0, child.log_tail()
    finally:
        child.stop(1)
