"""A small HTTP server beside the real work of a pod: probes, metrics, the model's metadata. Owns no route."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.applications import Starlette

from daybreak_contracts.errors import UserError

START_POLL_S = 0.01


class SideServer(uvicorn.Server):
    """A server that leaves signals to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


@contextlib.asynccontextmanager
async def listening(app: Starlette, host: str, port: int) -> AsyncIterator[None]:
    """Serve an application until the block ends. A port that is taken is a UserError."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="critical",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = SideServer(config)
    serving = asyncio.create_task(_serve(server, host, port))
    while not server.started and not serving.done():
        await asyncio.sleep(START_POLL_S)
    try:
        if serving.done():
            serving.result()
        yield
    finally:
        server.should_exit = True
        await asyncio.wait([serving])


async def _serve(server: SideServer, host: str, port: int) -> None:
    try:
        await server.serve()
    except SystemExit as error:  # how uvicorn ends when it cannot listen
        raise UserError(f"{host}:{port}: cannot listen there, is the port taken?") from error
