"""``POST /v1/completions``: one request from its bytes to its last event.

The order is fixed: parse, give up the earlier request of the same user and file, have an engine asked
(`dispatcher`), pass its chunks on. Every way out counts itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from starlette.types import Receive, Scope, Send

from daybreak_contracts import names
from daybreak_model.fim import ComposedPrompt
from daybreak_serve.engine.protocol import Chunk
from daybreak_serve.gateway.auth.caller import caller_of
from daybreak_serve.gateway.auth.limits import Consumptions, Moment
from daybreak_serve.gateway.config import GatewaySettings
from daybreak_serve.gateway.dialects.dialect import Dialect, RequestHeaders
from daybreak_serve.gateway.dialects.routes import spoken
from daybreak_serve.gateway.dispatch import dispatcher
from daybreak_serve.gateway.dispatch.dispatcher import RequestContext
from daybreak_serve.gateway.dispatch.exchange import Exchange, Flight, headers_of, repeatable, timed
from daybreak_serve.gateway.events import languages
from daybreak_serve.gateway.events.access import AccessLog, AccessRecord
from daybreak_serve.gateway.events.counters import GatewayCounters
from daybreak_serve.gateway.events.journal import Journal, Record, user_hash
from daybreak_serve.gateway.events.metrics import GatewayMetrics, label_of
from daybreak_serve.gateway.experiments.fleet import RevisionModel, ServedRevision, ServingFleet
from daybreak_serve.gateway.experiments.shadow import Shadow
from daybreak_serve.gateway.http import problems
from daybreak_serve.gateway.http.answers import CompletionIdentity
from daybreak_serve.gateway.http.asgi_io import (
    ClientDisconnected,
    ResponseWriter,
    cancel_on_disconnect,
    header,
    is_task_cancelled,
    read_body,
)
from daybreak_serve.gateway.http.cancellation import Cancellation, Supersession
from daybreak_serve.gateway.http.manners import CompletionShaper
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import CompletionRequest, identified

FILE_HEADER, PROMPT_HEADER = b"x-daybreak-file", b"x-daybreak-prompt"
TEXTS_AT_ONCE = 2
"""Of one request, in engines at a time: sixteen prompts at once must not turn everybody else away."""
TURNED_AWAY = (problems.BUSY, problems.NO_ENGINE, problems.WAKING)


@dataclass(frozen=True)
class Parts:
    """What a gateway is made of."""

    settings: GatewaySettings
    fleet: ServingFleet
    supersession: Supersession
    journal: Journal
    metrics: GatewayMetrics
    counters: GatewayCounters
    shadow: Shadow
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    new_id: Callable[[], str]
    access: AccessLog
    consumptions: Consumptions

    def moment(self) -> Moment:
        """Return now by both clocks."""
        return Moment(self.clock(), self.wall_clock())


class Completions:
    """The ASGI endpoint of one dialect."""

    def __init__(self, parts: Parts, dialect: Dialect) -> None:
        self._parts = parts
        self._dialect = dialect
        self._shadows: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        parts, began_s = self._parts, self._parts.clock()
        parts.counters.arrive()
        answer, dialect = ResponseWriter(send), self._dialect
        try:
            body = await read_body(receive, scope, parts.settings.body_limit_bytes)
            dialect = spoken(dialect, body)
            request = self._read(dialect, body, scope)
        except ClientDisconnected:
            return
        except ApiProblem as problem:
            parts.metrics.rejected.labels("invalid").inc()
            await answer.problem(problem, dialect.problem(problem))
            parts.access.refused(parts.new_id(), dialect.name, problem, parts.clock() - began_s)
            return
        parts.counters.stir()
        exchange = self._exchange(request, dialect, answer, scope, began_s)
        watcher = asyncio.create_task(cancel_on_disconnect(receive, exchange.cancellation))
        try:
            with contextlib.suppress(ClientDisconnected):
                await self._answer(exchange)
        finally:
            watcher.cancel()
            parts.counters.stir()
            self._count(exchange)

    def _read(self, dialect: Dialect, body: bytes, scope: Scope) -> CompletionRequest:
        settings = self._parts.settings
        limits = self._parts.fleet.limits(settings.model_name, settings.default_max_tokens)
        headers = RequestHeaders(header(scope, FILE_HEADER), header(scope, PROMPT_HEADER))
        return identified(dialect.read(body, headers, limits), caller_of(scope).user)

    def _exchange(
        self,
        request: CompletionRequest,
        dialect: Dialect,
        answer: ResponseWriter,
        scope: Scope,
        began_s: float,
    ) -> Exchange:
        parts = self._parts
        identity = CompletionIdentity(parts.new_id(), int(parts.wall_clock()), parts.settings.model_name)
        flights = [
            Flight(
                request=repeatable(single, parts.fleet.chance.getrandbits),
                cancellation=Cancellation(),
                index=index,
                identity=identity,
                shaper=CompletionShaper(single.prompt, single.suffix, single.mode),
                model_began_s=began_s,
            )
            for index, single in enumerate(request.singles())
        ]
        groups = caller_of(scope).groups
        owner = request.user or (scope.get("client") or ("",))[0]
        return Exchange(request, dialect, answer, groups, owner, flights, began_s)

    def _count(self, exchange: Exchange) -> None:
        parts, seconds = self._parts, self._parts.clock() - exchange.began_s
        status = str(exchange.answer.status or 499)
        parts.metrics.request_seconds.labels(status, label_of(exchange.flights[0].digest)).observe(seconds)
        parts.access.answered(
            AccessRecord(
                request_id=exchange.identity.completion_id,
                dialect=exchange.dialect.name,
                user=user_hash(exchange.request.user),
                model_digest=exchange.flights[0].digest,
                status=int(status),
                outcome=exchange.outcome or "ok",
                num_prompt_tokens=exchange.usage.prompt_tokens,
                num_tokens=exchange.usage.completion_tokens,
                ttft_s=exchange.ttft_s,
                seconds=seconds,
            )
        )
        for flight in exchange.flights:
            if not flight.digest:
                continue
            if flight.cancellation.cancelled:
                parts.counters.model(flight.digest).cancelled += 1
            else:
                took_s = parts.clock() - flight.model_began_s
                parts.counters.answer(flight.digest, took_s, failed=flight.has_failed)

    def _pass_on(self, flight: Flight, digest: str) -> None:
        """Note which model is asked next, and what the one before it has done to this request.

        The client may get its answer all the same, so nobody would see a model whose engines die of its requests.
        """
        if flight.digest not in ("", digest):
            now = self._parts.clock()
            if flight.engine_has_failed:
                self._parts.counters.answer(flight.digest, now - flight.model_began_s, failed=True)
            flight.model_began_s = now
        flight.digest, flight.engine_has_failed = digest, False

    async def _answer(self, exchange: Exchange) -> None:
        request, cancellation, supersession = (
            exchange.request,
            exchange.cancellation,
            self._parts.supersession,
        )
        supersession.register(request.user, request.file, cancellation)
        try:
            with self._admitted(exchange):
                await self._generate_all(exchange)
                await self._finish(exchange)
            for flight in exchange.flights:
                self._mirror(flight)
        except ApiProblem as problem:
            if cancellation.cancelled:  # a stream that is cancelled while it is written to looks broken
                await self._end_cancelled(exchange)
            else:
                await self._end_by(exchange, problem)
        except ClientDisconnected:
            cancellation.cancel("disconnected")
            await self._end_cancelled(exchange)
        except asyncio.CancelledError:
            if cancellation.cancelled is None or is_task_cancelled():
                raise
            await self._end_cancelled(exchange)
        finally:
            supersession.unregister(request.user, request.file, cancellation)
            for flight in exchange.flights:
                self._remember(flight)

    @contextlib.contextmanager
    def _admitted(self, exchange: Exchange) -> Iterator[None]:
        """Count a request while it runs, and its tokens; one that is beyond a limit is an `ApiProblem`.

        One that is given up for a newer one makes room at once, not when its engine has heard of it.
        """
        consumptions, moment = self._parts.consumptions, self._parts.moment
        admission = consumptions.enter(exchange.owner, exchange.groups, moment())
        exchange.flights[0].cancellation.on_given_up = lambda: consumptions.leave(admission)
        try:
            yield
        finally:
            consumptions.leave(admission)
            usage = exchange.usage
            consumptions.spend(admission, usage.prompt_tokens + usage.completion_tokens, moment())

    async def _generate_all(self, exchange: Exchange) -> None:
        """Have all texts made, side by side; the first that fails gives the others up."""
        if len(exchange.flights) == 1:
            await self._generate(exchange, exchange.flights[0])
            return
        turns = asyncio.Semaphore(TEXTS_AT_ONCE)

        async def in_turn(flight: Flight) -> None:
            async with turns:
                if flight.cancellation.cancelled:
                    raise asyncio.CancelledError
                await self._generate(exchange, flight)

        tasks = [asyncio.create_task(in_turn(flight)) for flight in exchange.flights]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in sorted(tasks, key=asyncio.Task.cancelled):  # what failed before what was given up for it
            task.result()

    async def _generate(self, exchange: Exchange, flight: Flight) -> None:
        parts = self._parts
        asked_s = parts.clock()

        def on_acquired(has_woken: bool) -> None:
            waited_s = parts.clock() - asked_s
            if has_woken:  # neither busy nor slow: counted as such, it would ask for more engines
                parts.metrics.wake_seconds.observe(waited_s)
                flight.model_began_s = parts.clock()
                return
            parts.metrics.queue_seconds.observe(waited_s)
            parts.counters.waited(waited_s)

        def on_try(revision: ServedRevision, model: RevisionModel, prompt: ComposedPrompt) -> None:
            self._pass_on(flight, revision.digest)
            flight.begin(model, prompt)
            flight.identity = replace(flight.identity, fingerprint=names.short(revision.digest))

        def on_engine_failure() -> None:
            flight.engine_has_failed = True

        async def on_chunk(chunk: Chunk) -> bool:
            return await self._take(exchange, flight, chunk)

        context = RequestContext(
            request=flight.request,
            groups=exchange.groups,
            owner=exchange.owner,
            cancellation=flight.cancellation,
            request_id=flight.identity.completion_id,
            on_chunk=on_chunk,
            on_try=on_try,
            on_acquired=on_acquired,
            on_engine_failure=on_engine_failure,
        )
        await dispatcher.dispatch(parts.fleet, context)

    def _mirror(self, flight: Flight) -> None:
        """Let the candidate see what was answered; what was given up it never sees."""
        wanted = None if flight.cancellation.cancelled else self._parts.shadow.wanted(flight.digest)
        if wanted is not None:
            task = asyncio.create_task(self._parts.shadow.ask(*wanted, flight.request))
            self._shadows.add(task)
            task.add_done_callback(self._shadows.discard)

    async def _take(self, exchange: Exchange, flight: Flight, chunk: Chunk) -> bool:
        """Take a chunk; tell whether the text is complete."""
        cancellation = flight.cancellation
        if cancellation.stage == "prefill":
            cancellation.stage = "decode"
            if exchange.ttft_s is None:
                exchange.ttft_s = self._parts.clock() - exchange.began_s
                self._parts.metrics.ttft_seconds.observe(exchange.ttft_s)
        cancellation.num_tokens += len(chunk.token_ids)
        text = flight.shaper.add(chunk.text)
        if chunk.finish_reason:
            text += flight.shaper.finish()
        reason = "stop" if flight.shaper.is_over else chunk.finish_reason
        if not flight.text and flight.request.echo and (text or reason):
            text = flight.request.echo + text
        flight.text.append(text)
        flight.reason = reason or ""
        flight.stop = None if flight.shaper.is_over else chunk.stop
        if exchange.request.stream:
            text = flight.unsent(text, is_over=reason is not None)
            if text or reason:
                await self._stream_piece(exchange, flight, text, reason)
        return reason is not None

    async def _stream_piece(self, exchange: Exchange, flight: Flight, text: str, reason: str | None) -> None:
        if not exchange.answer.is_started:
            headers = {"cache-control": "no-cache", **headers_of(exchange)}
            await exchange.answer.start(200, exchange.dialect.stream_type, headers)
        choice = flight.choice(text, reason)
        flight.sent.append(text)
        with_usage = exchange.request.include_usage
        await exchange.answer.write(
            exchange.dialect.piece(flight.identity, choice, with_usage=with_usage), more=True
        )

    async def _finish(self, exchange: Exchange) -> None:
        metrics, usage = self._parts.metrics, timed(exchange, self._parts.clock())
        metrics.tokens.labels("prompt").inc(usage.prompt_tokens)
        metrics.tokens.labels("completion").inc(usage.completion_tokens)
        if any(flight.prompt.num_dropped for flight in exchange.flights):
            metrics.truncated.inc()
        if exchange.request.stream:
            await self._close_stream(exchange)
            return
        choices = [flight.choice("".join(flight.text), flight.reason) for flight in exchange.flights]
        body = exchange.dialect.whole(exchange.identity, choices, usage)
        await exchange.answer.whole(200, body, headers_of(exchange))

    async def _close_stream(self, exchange: Exchange) -> None:
        with_usage = exchange.request.include_usage
        usage = timed(exchange, self._parts.clock())
        choices = [flight.choice("".join(flight.sent), flight.reason) for flight in exchange.flights]
        end = exchange.dialect.end(exchange.identity, choices, usage, with_usage=with_usage)
        await exchange.answer.write(end, more=False)

    async def _end_by(self, exchange: Exchange, problem: ApiProblem) -> None:
        """Answer with a problem; in a stream that has begun it is its last event."""
        self._parts.metrics.rejected.labels(problem.code or problem.type).inc()
        exchange.outcome = problem.code or problem.type
        for flight in exchange.flights:
            if problem.code in TURNED_AWAY:
                flight.digest = ""  # no model is to blame
            flight.has_failed = True
        if problem.code in TURNED_AWAY:
            self._parts.counters.rejected += 1
        if exchange.answer.is_started:
            position = len(exchange.flights[0].sent)
            end = exchange.dialect.broken(exchange.identity, problem, position)
            await exchange.answer.write(end, more=False)
        else:
            await exchange.answer.problem(problem, exchange.dialect.problem(problem))

    async def _end_cancelled(self, exchange: Exchange) -> None:
        """End a request that was given up; one whose client disconnected needs no answer."""
        reason, metrics = exchange.cancellation.cancelled, self._parts.metrics
        assert reason is not None
        exchange.outcome = reason
        for flight in exchange.flights:
            metrics.cancelled.labels(flight.cancellation.stage, reason).inc()
            metrics.wasted_tokens.inc(flight.cancellation.num_tokens)
        if reason == "disconnected":
            return
        if exchange.answer.is_started:
            with contextlib.suppress(OSError):
                for flight in exchange.flights:
                    flight.reason = "cancelled"
                    await self._stream_piece(exchange, flight, "", flight.reason)
                await self._close_stream(exchange)
            return
        problem = problems.cancelled("a newer request for the same user and file came")
        await exchange.answer.problem(problem, exchange.dialect.problem(problem))

    def _remember(self, flight: Flight) -> None:
        """Keep what events may refer to. Also of a request that was given up: the client may show what it got."""
        num_characters = sum(len(text) for text in flight.text)
        if num_characters == 0:
            return
        record = Record(
            model=self._parts.settings.model_name,
            model_digest=flight.digest,
            language=languages.language_of(flight.request.file, languages.LANGUAGES),
            user=user_hash(flight.request.user),
            num_characters=num_characters,
        )
        self._parts.journal.remember(flight.identity.completion_id, record)
