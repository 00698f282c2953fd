"""The gateway's routes and its life: what is started, probed, drained. Owns no generation."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol, TextIO

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from daybreak_contracts.metrics_snapshot import GatewaySnapshot
from daybreak_contracts.routing import Routing
from daybreak_serve.gateway import openapi
from daybreak_serve.gateway.auth.api_keys import KeyFile
from daybreak_serve.gateway.auth.caller import caller_of
from daybreak_serve.gateway.auth.guard import Authenticator, AuthGuard, TokenCheck
from daybreak_serve.gateway.auth.issuer import IssuerKeys, fetch_from
from daybreak_serve.gateway.auth.limits import Consumptions
from daybreak_serve.gateway.auth.shared_counts import SharedCounts
from daybreak_serve.gateway.cluster import sharing
from daybreak_serve.gateway.cluster.peers import FORWARDED_HEADER, PREFIX, Peers
from daybreak_serve.gateway.cluster.view import probe
from daybreak_serve.gateway.config import GatewayConfig, GatewaySettings
from daybreak_serve.gateway.dialects import tabby
from daybreak_serve.gateway.dialects.routes import BELOW, ROUTES
from daybreak_serve.gateway.dispatch.completions import Completions, Parts
from daybreak_serve.gateway.dispatch.tokenizing import TokenEndpoints
from daybreak_serve.gateway.events.access import AccessLog
from daybreak_serve.gateway.events.counters import GatewayCounters
from daybreak_serve.gateway.events.journal import (
    Journal,
    Record,
    SuggestionEvent,
    characters_of,
    parse_events,
)
from daybreak_serve.gateway.events.metrics import GatewayMetrics, label_of
from daybreak_serve.gateway.experiments.fleet import ServingFleet, model_of
from daybreak_serve.gateway.experiments.shadow import Shadow
from daybreak_serve.gateway.http import paths
from daybreak_serve.gateway.http.asgi_io import ClientDisconnected, header, read_body
from daybreak_serve.gateway.http.cancellation import Supersession
from daybreak_serve.gateway.http.problems import RETRY_AFTER_S, ApiProblem
from daybreak_serve.gateway.http.web import LOOPBACK_NAMES, WebGuard
from daybreak_serve.gateway.listings import Listings
from daybreak_serve.model_metadata import ModelMetadata

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ReadinessState(Protocol):
    """Whether a gateway can be asked."""

    is_wrong: bool
    """Waiting will not help."""

    @property
    def reason(self) -> str | None:
        """Why not; None: it can."""
        ...


def _to_stdout(line: str) -> None:
    """Write a line of the access log where the process's starter keeps it: the pod's log, or gateway.log."""
    sys.stdout.write(line)
    sys.stdout.flush()


class GatewayApp:
    """One gateway: its parts, and the handlers that need them. Made inside the running loop."""

    def __init__(
        self,
        settings: GatewaySettings,
        fleet: ServingFleet,
        state: ReadinessState,
        event_log: TextIO | None,
        peers: Peers,
        *,
        log_access: Callable[[str], object] = _to_stdout,
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._state = state
        self._peers = peers
        self._metrics = GatewayMetrics()
        self._journal = Journal(settings.num_records, event_log.write if event_log else lambda line: None)
        self._counters = GatewayCounters(socket.gethostname(), time.time)
        self._metrics.inflight.set_function(lambda: sum(self._inflight().values()))
        self._metrics.held.set_function(self._held)
        self._metrics.waking.set_function(self._waking)
        self.listings = Listings(fleet, settings.model_name)
        self.shared = SharedCounts(uuid.uuid4().hex)
        """What was let in here and, as far as was heard, by other gateways."""
        self.is_ending = False
        """Set when the process ends soon: it is not ready any more, and goes on answering."""
        self._parts = Parts(
            settings=settings,
            fleet=fleet,
            supersession=Supersession(),
            journal=self._journal,
            metrics=self._metrics,
            counters=self._counters,
            shadow=Shadow(fleet, self._counters, fleet.chance, time.monotonic),
            clock=time.monotonic,
            wall_clock=time.time,
            new_id=lambda: f"{PREFIX}{peers.mark}{uuid.uuid4().hex}",
            access=AccessLog(log_access, time.time),
            consumptions=Consumptions(settings.limits, self.shared),
        )

    def completion_routes(self) -> list[Route]:
        """Return a route for each path that clients ask completions at; those below any base come last."""
        return [
            Route(path, Completions(self._parts, dialect), methods=["POST"])
            for path, dialect in (*ROUTES.items(), *BELOW.items())
        ]

    def token_routes(self) -> list[Route]:
        """Return the paths at which tokens are counted."""
        return TokenEndpoints(self._parts).routes()

    def _inflight(self) -> dict[str, int]:
        return {digest: revision.pool.inflight for digest, revision in self._fleet.revisions.items()}

    def _held(self) -> int:
        return sum(revision.pool.held for revision in self._fleet.revisions.values())

    def _waking(self) -> int:
        return sum(revision.pool.waking for revision in self._fleet.revisions.values())

    def send_away_waking(self) -> None:
        """Turn away the requests that wait for an engine longer than this gateway lives."""
        for revision in self._fleet.revisions.values():
            revision.pool.send_away_waking()

    def snapshot(self) -> GatewaySnapshot:
        """Return what the operator decides by."""
        version = self._fleet.routing.version if self._fleet.routing else 0
        return self._counters.snapshot(version, self._inflight(), self._held(), self._waking())

    async def events(self, request: Request) -> Response:
        """``POST /v1/events``: all events of a body that are about one gateway's completions are taken, or none."""
        try:
            body = await read_body(request.receive, request.scope, self._settings.body_limit_bytes)
        except ClientDisconnected:
            return Response(status_code=499)
        told = tabby.translated(body)
        if told is None:
            return Response(status_code=200)
        mine, theirs = parse_events(told), dict[str, list[SuggestionEvent]]()
        if header(request.scope, FORWARDED_HEADER) is None:
            mine, theirs = self._peers.split(mine)
        found = [(event, self._journal.find(event)) for event in mine]
        credential = caller_of(request.scope).credential
        counts = [await self._peers.forward(url, events, credential) for url, events in theirs.items()]
        num_new = sum(self._take(event, record) for event, record in found)
        num_new, num_old = num_new + sum(new for new, _ in counts), len(found) - num_new
        return JSONResponse({"accepted": num_new, "repeated": num_old + sum(old for _, old in counts)})

    def _take(self, event: SuggestionEvent, record: Record) -> bool:
        if not self._journal.log(event, record, time.time()):
            return False
        self._counters.event(event, record)
        metrics, labels = self._metrics, (record.language, record.model, label_of(record.model_digest))
        if event.event == "retained":
            metrics.retained_characters.labels(*labels, str(event.after_s)).inc(event.characters or 0)
            return True
        kind = "partially_accepted" if event.event == "partiallyAccepted" else event.event
        metrics.suggestions[kind].labels(*labels).inc()
        if "ccepted" in event.event:
            metrics.accepted_characters.labels(*labels).inc(characters_of(event, record))
        return True

    async def counts(self, request: Request) -> Response:
        """``GET /internal/counts``: what was let in, for other gateways alone; names are pseudonyms in it."""
        if request.client is None or not self._peers.is_host(request.client.host):
            raise HTTPException(404, "Not Found")
        return Response(sharing.told(self.shared), media_type="application/json")

    async def openapi(self, request: Request) -> Response:
        """``GET /openapi.json``."""
        return Response(openapi.text(), media_type="application/json")

    async def root(self, request: Request) -> Response:
        """``GET /``: what people and load balancers look at first."""
        return JSONResponse({"status": "ok", "model": self._settings.model_name, "help": paths.SPOKEN})

    async def healthz(self, request: Request) -> Response:
        """``GET /healthz``: the process answers."""
        return JSONResponse({"status": "ok"})

    async def health(self, request: Request) -> Response:
        """``/health`` of llama.cpp and ``/v1/health`` of Tabby: 200 once requests can be answered, and by what."""
        reason = "the gateway ends" if self.is_ending else self._state.reason
        if reason is not None:
            problem = ApiProblem(503, reason, "service_unavailable", code="not_ready")
            return Response(problem.body(), 503, problem.headers, "application/json")
        document = {"status": "ok", "model": self._settings.model_name, "device": "cpu", "version": {}}
        return JSONResponse(document)

    async def readyz(self, request: Request) -> Response:
        """``GET /readyz``: whether requests can be answered here, and for a while still."""
        reason = "the gateway ends" if self.is_ending else self._state.reason
        if reason is None:
            return JSONResponse({"status": "ready"})
        document = {"status": "wrong" if self._state.is_wrong else "waiting", "reason": reason}
        return JSONResponse(document, 503, {"retry-after": str(RETRY_AFTER_S)})

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``: Prometheus."""
        return Response(self._metrics.text(), media_type=METRICS_TYPE)


def local_fleet(config: GatewayConfig) -> tuple[ServingFleet, ReadinessState]:
    """Return a fleet of one revision with one engine, and whether that engine can be asked."""
    metadata = ModelMetadata(
        digest=config.model_digest,
        content_digest="",
        context_length=config.context_length,
        vocabulary_size=config.vocabulary_size,
        fim=config.fim,
        layout=config.layout,
        begin_ids=config.begin_ids,
        empty_prompt_id=config.empty_prompt_id,
        chat=config.chat,
        max_concurrency=config.max_inflight,
        golden_prompt_ids=config.golden_prompt_ids,
        golden_token_ids=config.golden_token_ids,
        tokenizer_sha256="",
    )
    fleet = ServingFleet(config.max_held, random.Random(), config.engine_timeout_s)
    routing = Routing(
        version=1,
        salt="",
        stable=metadata.digest,
        hold_ms=config.hold_ms,
        max_new_tokens=config.max_new_tokens,
    )
    fleet.route(routing)
    revision = fleet.revisions[metadata.digest]
    tokenizer = (Path(config.model_folder) / "tokenizer.json").read_text(encoding="utf-8")
    revision.model = model_of(metadata, tokenizer)
    endpoint = fleet.new_endpoint("local", config.engine, revision.model, config.max_inflight)
    revision.pool.add(endpoint)
    return fleet, endpoint.readiness


def create_app(config: GatewayConfig) -> Starlette:
    """Return the ASGI application before one engine; its client is made when the server starts it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        fleet, state = local_fleet(config)
        with event_log(config) as log:
            gateway = GatewayApp(config, fleet, state, log, Peers())
            add_routes(app, gateway)
            app.router.routes.append(Route("/metrics", gateway.metrics))
            probing = asyncio.create_task(probe(fleet, config.probe_interval_s, every=1))
            yield
            probing.cancel()
            await asyncio.wait([probing])
            await fleet.close()

    return Starlette(lifespan=lifespan, exception_handlers=HANDLERS, middleware=guards(config))


def guards(settings: GatewaySettings) -> list[Middleware]:
    """Return the middleware that keeps out foreign web pages, and those without a credential where one is needed."""
    is_loopback = settings.host in LOOPBACK_NAMES
    log = AccessLog(_to_stdout, time.time).denied
    found = [Middleware(paths.TidyPaths)]
    found.append(Middleware(WebGuard, allowed=settings.allowed_origins, is_loopback=is_loopback, log=log))
    if settings.asks_for_credentials:
        found.append(Middleware(AuthGuard, authenticator=authenticator_of(settings), log=log))
    return found


def authenticator_of(settings: GatewaySettings) -> Authenticator:
    """Return by which credentials one may ask."""
    keys = tokens = None
    if settings.api_keys:
        keys = KeyFile(Path(settings.api_keys), time.monotonic, _say)
    if settings.jwt is not None:
        fetch = fetch_from(settings.jwt.issuer)
        tokens = TokenCheck(settings.jwt, IssuerKeys(fetch, time.monotonic, _say))
    return Authenticator(keys, tokens)


def _say(line: str) -> None:
    _to_stdout(f"{line}\n")


@contextlib.contextmanager
def event_log(settings: GatewaySettings) -> Iterator[TextIO | None]:
    """Open the log of events, if one is kept."""
    if not settings.event_log:
        yield None
        return
    with Path(settings.event_log).open("a", encoding="utf-8", buffering=1) as log:
        yield log


def add_routes(app: Starlette, gateway: GatewayApp) -> None:
    """Bind paths to the handlers of a gateway."""
    app.router.routes.extend(
        [
            *gateway.completion_routes(),
            *gateway.token_routes(),
            Route("/v1/events", gateway.events, methods=["POST"]),
            Route("/openapi.json", gateway.openapi),
            Route(sharing.PATH, gateway.counts),
            *gateway.listings.routes(),
            Route("/", gateway.root),
            Route("/v1/health", gateway.health, methods=["GET", "POST"]),
            Route("/health", gateway.health),
            Route("/healthz", gateway.healthz),
            Route("/readyz", gateway.readyz),
        ]
    )


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiProblem)
    return Response(error.body(), error.status, error.headers, "application/json")


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    allowed = (error.headers or {}).get("Allow")
    problem = paths.problem_of(error.status_code, request.method, request.url.path, allowed)
    body = paths.body_of(problem, request.url.path)
    return Response(body, problem.status, error.headers, "application/json")


HANDLERS = {ApiProblem: _answer_problem, HTTPException: _answer_http_error}
