"""The gateway's routes and its life: what is started, probed, drained. Owns no generation."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TextIO

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from daybreak_contracts import names
from daybreak_serve.gateway.admission import Admission, Supersession
from daybreak_serve.gateway.completions import Completions, Parts
from daybreak_serve.gateway.config import GatewayConfig
from daybreak_serve.gateway.events import Event, Journal, Record, characters_of, parse_events
from daybreak_serve.gateway.exchange import ClientLeft, read_body
from daybreak_serve.gateway.metrics import GatewayMetrics
from daybreak_serve.gateway.problems import RETRY_AFTER_S, Problem
from daybreak_serve.gateway.prompts import PromptComposer
from daybreak_serve.gateway.readiness import Readiness
from daybreak_serve.gateway.streams import EngineClient
from daybreak_serve.modelfolder import Golden, special_ids

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Gateway:
    """One gateway: its parts, and the handlers that need them. Made inside the running loop."""

    def __init__(self, config: GatewayConfig, event_log: TextIO | None) -> None:
        tokenizer_file = Path(config.model_folder) / "tokenizer.json"
        self._config = config
        self._engine = EngineClient(
            config.engine, timeout_s=config.engine_timeout_s, num_spare=config.max_inflight
        )
        self._metrics = GatewayMetrics()
        self._journal = Journal(config.num_records, event_log.write if event_log else lambda line: None)
        self._admission = Admission(config.max_inflight, config.max_held, config.hold_ms / 1000)
        self._metrics.inflight.set_function(lambda: self._admission.inflight)
        self._metrics.held.set_function(lambda: self._admission.held)
        end_of_text = special_ids(tokenizer_file).get(names.END_OF_TEXT, 0)
        self.readiness = Readiness(self._engine, golden_of(config), [end_of_text])
        self._created = int(time.time())
        self.completions = Completions(
            Parts(
                config=config,
                engine=self._engine,
                composer=PromptComposer(tokenizer_file, config.context_length, config.fim),
                admission=self._admission,
                supersession=Supersession(),
                journal=self._journal,
                metrics=self._metrics,
                distrust=self.readiness.distrust,
                clock=time.monotonic,
                wall_clock=time.time,
                new_id=lambda: uuid.uuid4().hex,
            )
        )

    async def close(self) -> None:
        """Let the engine go."""
        await self._engine.close()

    async def events(self, request: Request) -> Response:
        """``POST /v1/events``: all events of a body are taken, or none."""
        try:
            body = await read_body(request.receive, request.scope, self._config.body_limit_bytes)
            found = [(event, self._journal.find(event)) for event in parse_events(body)]
        except ClientLeft:
            return Response(status_code=499)
        num_new = sum(self._take(event, record) for event, record in found)
        return JSONResponse({"accepted": num_new, "repeated": len(found) - num_new})

    def _take(self, event: Event, record: Record) -> bool:
        if not self._journal.log(event, record, time.time()):
            return False
        metrics, labels = self._metrics, (record.language, record.model)
        if event.event == "retained":
            metrics.retained_characters.labels(*labels, str(event.after_s)).inc(event.characters or 0)
            return True
        kind = "partially_accepted" if event.event == "partiallyAccepted" else event.event
        metrics.suggestions[kind].labels(*labels).inc()
        if "ccepted" in event.event:
            metrics.accepted_characters.labels(*labels).inc(characters_of(event, record))
        return True

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``: the one model, with what an editor wants to know of it."""
        model = {
            "id": self._config.model_name,
            "object": "model",
            "created": self._created,
            "owned_by": "daybreak",
            "digest": self._config.model_digest,
            "context_length": self._config.context_length,
            "fim": self._config.fim,
        }
        name = request.path_params.get("name")
        if name is None:
            return JSONResponse({"object": "list", "data": [model]})
        if name != model["id"]:
            message = f"the model {name!r} does not exist, this gateway serves {model['id']!r}"
            raise Problem(404, message, param="model", code="model_not_found")
        return JSONResponse(model)

    async def healthz(self, request: Request) -> Response:
        """``GET /healthz``: the process answers."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """``GET /readyz``: the engine answered the golden completion and is still there."""
        if self.readiness.reason is None:
            return JSONResponse({"status": "ready"})
        document = {
            "status": "wrong" if self.readiness.is_wrong else "waiting",
            "reason": self.readiness.reason,
        }
        return JSONResponse(document, 503, {"retry-after": str(RETRY_AFTER_S)})

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``: Prometheus."""
        return Response(self._metrics.text(), media_type=METRICS_TYPE)


def golden_of(config: GatewayConfig) -> Golden | None:
    """Return the golden completion of a config, if it has one."""
    if not config.golden_token_ids:
        return None
    return Golden(config.golden_prompt_ids, config.golden_token_ids)


def create_app(config: GatewayConfig) -> Starlette:
    """Return the ASGI application; its engine client is made when the server starts it."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        with contextlib.ExitStack() as stack:
            log = None
            if config.event_log:
                log = stack.enter_context(Path(config.event_log).open("a", encoding="utf-8", buffering=1))
            gateway = Gateway(config, log)
            add_routes(app, gateway)
            probing = asyncio.create_task(gateway.readiness.run(config.probe_interval_s))
            yield
            probing.cancel()
            await gateway.close()

    handlers = {Problem: _answer_problem, HTTPException: _answer_http_error}
    return Starlette(lifespan=lifespan, exception_handlers=handlers)


def add_routes(app: Starlette, gateway: Gateway) -> None:
    """Bind paths to the handlers of a gateway."""
    app.router.routes.extend(
        [
            Route("/v1/completions", gateway.completions, methods=["POST"]),
            Route("/v1/events", gateway.events, methods=["POST"]),
            Route("/v1/models", gateway.models),
            Route("/v1/models/{name}", gateway.models),
            Route("/healthz", gateway.healthz),
            Route("/readyz", gateway.readyz),
            Route("/metrics", gateway.metrics),
        ]
    )


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return Response(error.body(), error.status, error.headers, "application/json")


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = Problem(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
    return Response(problem.body(), problem.status, error.headers, "application/json")
