"""The serving pod's main container: Triton over a fetched model, and the probes that tell when it may be asked.

Ready means that the golden completion was answered as it was when the model was made. At SIGTERM the pod is not
ready at once, answers what it has begun and what still comes while gateways learn of it, and leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from daybreak_contracts import names, storage
from daybreak_contracts.errors import TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_model.vocabulary import special_ids
from daybreak_serve.engine import protocol
from daybreak_serve.engine.installation import find_installation
from daybreak_serve.engine.repository import EngineSettings, build_repository
from daybreak_serve.engine.triton import (
    EVERYWHERE,
    Reach,
    ServerFiles,
    TritonServer,
    why,
)
from daybreak_serve.gateway.pool.readiness import Readiness
from daybreak_serve.gateway.pool.streams import EngineClient
from daybreak_serve.model_metadata import ModelMetadata, metadata_of
from daybreak_serve.modelfolder import ModelFolder, open_fetched
from daybreak_serve.pod.listening import listening
from daybreak_serve.pod.starting import LOAD, WARM, StartStages

POLL_S = 0.1
GRPC_PORT, METRICS_PORT, HTTP_PORT = names.PORT_ENGINE, names.PORT_ENGINE_METRICS, names.PORT_ENGINE_HTTP
GOLDEN_TIMEOUT_S = 60.0
LOADING_TIMEOUT_S = 1080.0
"""With the golden completion's minute less than the kubelet waits: what took too long is told, not cut off."""


@dataclass(frozen=True)
class EngineArgs:
    """How an engine pod serves."""

    model: Path
    host: str = EVERYWHERE
    port: int = GRPC_PORT
    metrics_port: int = METRICS_PORT
    http_port: int = HTTP_PORT
    linger_s: float = 3.0
    """How long a pod that ends goes on taking requests: until every gateway has seen that it ends."""
    drain_s: float = 25.0
    """Bound of the whole end; below the pod's grace period of 30 s."""
    settings: EngineSettings = field(default_factory=EngineSettings)


class Probes:
    """What the pod's HTTP port says."""

    def __init__(self, metadata: ModelMetadata, tokenizer: bytes, stages: StartStages) -> None:
        self.stages = stages
        self._metadata = metadata.model_dump_json(by_alias=True)
        self._tokenizer = tokenizer
        self.reason: str | None = "the model is being loaded"
        """Why the pod is not ready; None: it is."""

    def app(self) -> Starlette:
        """Return the application."""
        return Starlette(
            routes=[
                Route("/readyz", self.readyz),
                Route("/livez", self.livez),
                Route("/model", self.model),
                Route("/tokenizer", self.tokenizer),
                Route("/metrics", self.metrics),
            ]
        )

    async def readyz(self, request: Request) -> Response:
        """``GET /readyz``: 200 once the golden completion was answered, until the pod ends."""
        if self.reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "waiting", "reason": self.reason}, 503)

    async def livez(self, request: Request) -> Response:
        """``GET /livez``: the process answers; it ends by itself when Triton does."""
        return JSONResponse({"status": "alive"})

    async def model(self, request: Request) -> Response:
        """``GET /model``: the model metadata."""
        return Response(self._metadata, media_type="application/json")

    async def tokenizer(self, request: Request) -> Response:
        """``GET /tokenizer``: the model's tokenizer.json, byte for byte."""
        return Response(self._tokenizer, media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``: what the stages of this start took; Triton's own are at its port."""
        return Response(self.stages.text(), media_type=CONTENT_TYPE_LATEST)


def run(args: EngineArgs, progress: Progress) -> None:
    """Serve until SIGTERM. A model that does not load or answers otherwise is a UserError, a death a TransientError."""
    model, manifest = open_fetched(args.model)
    metadata = metadata_of(
        model, content_digest=manifest.content_digest, max_concurrency=args.settings.max_running
    )
    stages = StartStages(time.monotonic)
    stages.read_note(args.model.absolute())
    probes = Probes(metadata, storage.read_bytes(str(model.path / "tokenizer.json")), stages)
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        triton = _server(model, Path(folder), args)
        asyncio.run(_serve(args, model, triton, probes, progress))


def _server(model: ModelFolder, folder: Path, args: EngineArgs) -> TritonServer:
    files = ServerFiles(folder / "repository", folder / "backends", folder / "triton.log")
    build_repository(model, files.repository, args.settings)
    reach = Reach(host=args.host, port=args.port, metrics_port=args.metrics_port)
    return TritonServer(
        find_installation(args.settings.kind), files, base_environment=os.environ, reach=reach
    )


async def _serve(
    args: EngineArgs, model: ModelFolder, triton: TritonServer, probes: Probes, progress: Progress
) -> None:
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    async with listening(probes.app(), args.host, args.http_port):
        triton.start()  # by this thread: what a thread starts dies with it (parent_death.py)
        try:
            if not await _first(_start(triton, model, progress, probes.stages), ending):
                return
            probes.reason = None
            progress.report("ready", 1, 1)
            print(f"started: {probes.stages.line()}", flush=True)
            if await _first(_watch(triton), ending):
                raise _death(triton)
            probes.reason = "the pod ends"
            progress.report("ending")
            await _drain(args, triton)
        finally:
            await asyncio.to_thread(triton.stop)


async def _first(work: Awaitable[None], ending: asyncio.Event) -> bool:
    """Wait for some work or for the end that somebody asks for; tell whether the work was done."""
    task, end = asyncio.ensure_future(work), asyncio.create_task(ending.wait())
    try:
        await asyncio.wait([task, end], return_when=asyncio.FIRST_COMPLETED)
        if ending.is_set():
            return False
        task.result()
        return True
    finally:
        for one in (task, end):
            one.cancel()
        with contextlib.suppress(asyncio.CancelledError, UserError, TransientError):
            await asyncio.wait([task, end])


async def _start(triton: TritonServer, model: ModelFolder, progress: Progress, stages: StartStages) -> None:
    """Wait until Triton listens and has answered the golden completion."""
    with stages.stage(LOAD):
        await asyncio.to_thread(triton.wait_ready, progress, LOADING_TIMEOUT_S)
    with stages.stage(WARM):
        await _warm(triton, model, progress)


async def _warm(triton: TritonServer, model: ModelFolder, progress: Progress) -> None:
    """Have the golden completion answered."""
    progress.report("asking the golden completion")
    engine = EngineClient(triton.address, timeout_s=GOLDEN_TIMEOUT_S)
    tokenizer = (model.path / "tokenizer.json").read_text(encoding="utf-8")
    first = model.openings.empty
    if first is None:
        first = special_ids(tokenizer).get(names.END_OF_TEXT, 0)
    readiness = Readiness(engine, model.golden, [first])
    try:
        async with asyncio.timeout(GOLDEN_TIMEOUT_S):
            while readiness.reason is not None:
                await readiness.probe()
                if readiness.is_wrong:
                    raise UserError(
                        f"{model.path}: does not answer as it did when it was exported: {readiness.reason}"
                    )
                if triton.is_broken():
                    raise _death(triton)
                await asyncio.sleep(POLL_S if readiness.reason else 0)
    except TimeoutError as error:
        raise TransientError(
            f"the engine did not answer its golden completion: {readiness.reason}"
        ) from error
    finally:
        await engine.close()


async def _watch(triton: TritonServer) -> None:
    """Return when Triton or one of its processes has died, raise when they hang."""
    while not triton.is_broken():
        reason = await asyncio.to_thread(triton.why_hung, time.monotonic())
        if reason is not None:
            triton.kill()
            raise TransientError(f"Triton hangs: {reason}; the pod is started again")
        await asyncio.sleep(POLL_S)


def _death(triton: TritonServer) -> TransientError:
    code = triton.child.exit_code
    what = "a process of Triton died" if code is None else f"Triton ended with {code}"
    return TransientError(f"{what}, the end of its log:\n{why(triton.child.log_tail())}")


async def _drain(args: EngineArgs, triton: TritonServer) -> None:
    """Wait until gateways have learnt of the end and what they asked is answered, for ``drain_s`` at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(args.drain_s):
            await asyncio.sleep(args.linger_s)
            async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
                while await _num_running(client, args.metrics_port) and not triton.is_broken():
                    await asyncio.sleep(POLL_S)


async def _num_running(client: httpx.AsyncClient, port: int) -> float:
    """Return how many requests the engine works at; 0 where its Triton does not say."""
    try:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    except httpx.HTTPError:
        return 0.0
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith(protocol.RUNNING_METRIC))
    return sum(float(value) for _, _, value in lines)
