"""The gateway pod: the gateway before all engines of a ModelDeployment, led by what the API server says.

Its users' port serves completions and events; metrics and the snapshot have a port of their own, which only the
operator and Prometheus need to reach. At SIGTERM it is not ready at once and goes on answering for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import signal
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from daybreak_contracts.errors import UserError
from daybreak_contracts.kubernetes_access import Access
from daybreak_serve.gateway.__main__ import KEEP_ALIVE_S
from daybreak_serve.gateway.app import HANDLERS, GatewayApp, add_routes, event_log, guards
from daybreak_serve.gateway.cluster import sharing
from daybreak_serve.gateway.cluster.apiserver import ApiServer
from daybreak_serve.gateway.cluster.endpoint_slices import ListedEndpoint, as_listed
from daybreak_serve.gateway.cluster.peers import Peers
from daybreak_serve.gateway.cluster.view import ClusterView, Followed, probe
from daybreak_serve.gateway.config import GatewaySettings
from daybreak_serve.gateway.experiments.fleet import ServingFleet
from daybreak_serve.gateway.http.connections import GuardedHttp, SettlingServer, room_for_connections
from daybreak_serve.pod.listening import listening

STEADY_PROBES = 10
"""A proven engine is asked each tenth time: EndpointSlices tell of its end sooner."""


@dataclass(frozen=True)
class GatewayArgs:
    """Whom a gateway pod serves."""

    namespace: str
    deployment: str
    access: Access
    settings: GatewaySettings
    metrics_port: int
    linger_s: float
    """How long a pod that ends goes on taking connections: until every proxy has learnt that it ends."""
    address: str
    """Of this pod, as its Service's EndpointSlices have it: other gateways send it events of its completions."""
    locate: Callable[[ListedEndpoint], ListedEndpoint] = as_listed


class LingeringServer(SettlingServer):
    """A server that goes on for a while after the first SIGTERM, and tells its application."""

    settle_after_s = 0.0  # it has lingered when it ends

    def __init__(self, config: uvicorn.Config, pod: GatewayPod, linger_s: float) -> None:
        super().__init__(config)
        self._pod = pod
        self._linger_s = linger_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End later; a second signal ends at once."""
        gateway = self._pod.gateway
        if gateway is None or gateway.is_ending or sig != signal.SIGTERM:
            self.should_exit = True
            return
        gateway.is_ending = True
        self.send_clients_away()
        loop = self._pod.loop
        assert loop is not None, "it is set before the gateway"
        loop.call_soon_threadsafe(lambda: loop.call_later(self._linger_s, self._end))

    def _end(self) -> None:
        if self._pod.gateway is not None:
            self._pod.gateway.send_away_waking()
        self.should_exit = True


class GatewayPod:
    """The application and its life."""

    def __init__(self, args: GatewayArgs, log: Callable[[str], None]) -> None:
        self._args = args
        self._log = log
        self._view: ClusterView | None = None
        self._following: asyncio.Task[None] | None = None
        self.gateway: GatewayApp | None = None
        self.failure: Exception | None = None
        """What kept it from starting."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self.app = Starlette(
            lifespan=self._noted, exception_handlers=HANDLERS, middleware=guards(args.settings)
        )

    @contextlib.asynccontextmanager
    async def _noted(self, app: Starlette) -> AsyncIterator[None]:
        """Keep the reason of a start that fails; uvicorn only logs it."""
        try:
            async with self._lifespan(app):
                yield
        except Exception as error:
            self.failure = error
            raise

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        args, settings = self._args, self._args.settings
        self.loop = asyncio.get_running_loop()
        fleet = ServingFleet(settings.max_held, random.Random(), settings.engine_timeout_s)
        api = ApiServer(args.access, random.Random(), self._log)
        peers = Peers(f"{args.address}:{settings.port}")
        followed = Followed(api, args.namespace, args.deployment, args.locate)
        view = self._view = ClusterView(fleet, peers, followed, self._log)
        with event_log(settings) as events:
            gateway = self.gateway = GatewayApp(settings, fleet, view, events, peers)
            add_routes(app, gateway)
            app.router.routes.append(Route("/livez", self.livez))
            following = self._following = asyncio.create_task(view.run())
            probing = asyncio.create_task(probe(fleet, settings.probe_interval_s, STEADY_PROBES))
            tasks = [following, probing]
            if sharing.counts_anything(settings.limits):
                tasks.append(asyncio.create_task(sharing.share(peers, gateway.shared)))
            try:
                async with listening(self._inside(gateway), settings.host, args.metrics_port):
                    yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
                await view.close()
                await peers.close()
                await fleet.close()

    def _inside(self, gateway: GatewayApp) -> Starlette:
        async def snapshot(request: Request) -> Response:
            return Response(gateway.snapshot().model_dump_json(), media_type="application/json")

        return Starlette(
            routes=[
                Route("/snapshot", snapshot),
                Route("/metrics", gateway.metrics),
                Route("/readyz", gateway.readyz),
                Route("/livez", self.livez),
            ]
        )

    async def livez(self, request: Request) -> Response:
        """``GET /livez``: 200 while everything that follows the cluster is alive."""
        assert self._view is not None
        if self._view.has_died or (self._following is not None and self._following.done()):
            return JSONResponse({"status": "dead", "reason": "a watch ended by a bug"}, 500)
        return JSONResponse({"status": "alive"})


def own_address() -> str:
    """Return this pod's address: its host name stands in its /etc/hosts; empty where it has none."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return ""


def log(line: str) -> None:
    """Write one line, for one change."""
    print(f"gateway: {line}", flush=True)


def parse_deployment(text: str) -> tuple[str, str]:
    """Return namespace and name of ``NAMESPACE/NAME``."""
    namespace, _, name = text.partition("/")
    if not namespace or not name or "/" in name:
        raise UserError(f"--deployment must be NAMESPACE/NAME, got {text!r}")
    return namespace, name


def run(args: GatewayArgs) -> None:
    """Serve until SIGTERM. A port that is taken or credentials that are missing are UserErrors."""
    settings, pod = args.settings, GatewayPod(args, log)
    GuardedHttp.max_connections = room_for_connections()
    config: dict[str, Any] = {"loop": "uvloop", "http": GuardedHttp, "ws": "none"}
    server = LingeringServer(
        uvicorn.Config(
            pod.app,
            host=settings.host,
            port=settings.port,
            access_log=False,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=settings.drain_s,
            **config,
        ),
        pod,
        args.linger_s,
    )
    gc.collect()
    gc.freeze()  # as the local gateway does: what is imported lives for ever
    try:
        server.run()
    except SystemExit as error:  # how uvicorn ends when it cannot start
        if pod.failure is not None:
            raise pod.failure from error
        raise UserError(
            f"{settings.host}:{settings.port}: cannot listen there, is the port taken?"
        ) from error
