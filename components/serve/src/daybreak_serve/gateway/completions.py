"""``POST /v1/completions``: one request from its bytes to its last event.

The order is fixed: parse, give up the earlier request of the same user and file, wait for a place, compose, ask
the engine, pass its chunks on. Every way out gives the place back and counts itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Receive, Scope, Send

from daybreak_serve.gateway import answers, compose, problems
from daybreak_serve.gateway.admission import Admission, Supersession, Ticket
from daybreak_serve.gateway.answers import Identity, Usage
from daybreak_serve.gateway.compose import ComposedPrompt
from daybreak_serve.gateway.config import GatewayConfig
from daybreak_serve.gateway.events import Journal, Record, user_hash
from daybreak_serve.gateway.exchange import (
    Answer,
    ClientLeft,
    header,
    is_task_cancelled,
    read_body,
    watch,
)
from daybreak_serve.gateway.metrics import GatewayMetrics
from daybreak_serve.gateway.problems import Problem
from daybreak_serve.gateway.prompts import PromptComposer
from daybreak_serve.gateway.requests import CompletionRequest, Limits, parse
from daybreak_serve.gateway.streams import (
    EngineClient,
    EngineDown,
    EngineRefused,
    EngineStream,
    infer_request,
)

TRUNCATED_HEADER = "x-daybreak-truncated"
"""Number of prompt tokens that were dropped; absent when none was."""
SUFFIX_HEADER = "x-daybreak-suffix"
"""``ignored`` where the model never learned to fill in the middle."""
FILE_HEADER = b"x-daybreak-file"
NO_PROMPT = ComposedPrompt((), 0)
SSE = b"text/event-stream; charset=utf-8"


@dataclass(frozen=True)
class Parts:
    """What a gateway is made of."""

    config: GatewayConfig
    engine: EngineClient
    composer: PromptComposer
    admission: Admission
    supersession: Supersession
    journal: Journal
    metrics: GatewayMetrics
    distrust: Callable[[], None]
    """To be called when the engine refuses what it should answer."""
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    new_id: Callable[[], str]


@dataclass
class _Flight:
    """One request on its way."""

    request: CompletionRequest
    ticket: Ticket
    answer: Answer
    identity: Identity
    began_s: float
    prompt: ComposedPrompt = NO_PROMPT
    text: list[str] = field(default_factory=list)

    @property
    def usage(self) -> Usage:
        return Usage(len(self.prompt.token_ids), self.ticket.num_tokens)


class Completions:
    """The ASGI endpoint."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        config = parts.config
        longest = min(config.max_new_tokens, config.context_length - compose.MIN_PROMPT)
        self._limits = Limits(config.model_name, min(config.default_max_tokens, longest), longest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        parts, began_s = self._parts, self._parts.clock()
        answer = Answer(send)
        try:
            body = await read_body(receive, scope, parts.config.body_limit_bytes)
            request = parse(body, header(scope, FILE_HEADER), self._limits)
        except ClientLeft:
            return
        except Problem as problem:
            parts.metrics.rejected.labels("invalid").inc()
            await answer.problem(problem)
            return
        identity = Identity(f"cmpl-{parts.new_id()}", int(parts.wall_clock()), parts.config.model_name)
        flight = _Flight(request, Ticket(), answer, identity, began_s)
        watcher = asyncio.create_task(watch(receive, flight.ticket))
        try:
            await self._fly(flight)
        finally:
            watcher.cancel()
            parts.metrics.request_seconds.labels(str(answer.status or 499)).observe(parts.clock() - began_s)

    async def _fly(self, flight: _Flight) -> None:
        request, ticket, supersession = flight.request, flight.ticket, self._parts.supersession
        supersession.enter(request.user, request.file, ticket)
        try:
            await self._generate(flight)
        except Problem as problem:
            if ticket.cancelled:  # a stream that is cancelled while it is written to looks broken
                await self._end_cancelled(flight)
            else:
                await self._end_by(flight, problem)
        except asyncio.CancelledError:
            if ticket.cancelled is None or is_task_cancelled():
                raise
            await self._end_cancelled(flight)
        finally:
            supersession.leave(request.user, request.file, ticket)
            self._remember(flight)

    async def _generate(self, flight: _Flight) -> None:
        parts, ticket = self._parts, flight.ticket
        asked_s = parts.clock()
        await parts.admission.enter(ticket)
        parts.metrics.queue_seconds.observe(parts.clock() - asked_s)
        try:
            flight.prompt = await parts.composer.compose(flight.request)
            ticket.stage = "prefill"
            stream = parts.engine.open()
            ticket.on_cancel(stream.cancel)
            try:
                await self._relay(flight, stream)
            finally:
                parts.engine.give_back(stream)
        finally:
            parts.admission.leave()

    async def _relay(self, flight: _Flight, stream: EngineStream) -> None:
        """Pass the engine's chunks on until the last."""
        ticket, request = flight.ticket, flight.request
        message = infer_request(flight.prompt.token_ids, request.options, flight.identity.completion_id)
        try:
            await stream.ask(message)
            reason = None
            while (chunk := await stream.next_chunk()) is not None:
                if ticket.stage == "prefill":
                    ticket.stage = "decode"
                    self._parts.metrics.ttft_seconds.observe(self._parts.clock() - flight.began_s)
                ticket.num_tokens += len(chunk.token_ids)
                flight.text.append(chunk.text)
                reason = chunk.finish_reason
                if request.stream and (chunk.text or reason):
                    await self._stream_piece(flight, chunk.text, reason)
        except EngineDown as error:
            raise problems.engine_down(f"the engine does not answer: {error}") from error
        except EngineRefused as error:
            self._parts.distrust()
            raise problems.engine_failed(str(error)) from error
        if reason is None:
            raise problems.engine_down("the engine ended without a last word")
        await self._finish(flight, reason)

    async def _stream_piece(self, flight: _Flight, text: str, reason: str | None) -> None:
        if not flight.answer.is_started:
            headers = {"cache-control": "no-cache", **self._headers(flight)}
            await flight.answer.start(200, SSE, headers)
        with_usage = flight.request.include_usage
        await flight.answer.write(
            answers.piece(flight.identity, text, reason, with_usage=with_usage), more=True
        )

    async def _finish(self, flight: _Flight, reason: str) -> None:
        metrics = self._parts.metrics
        metrics.tokens.labels("prompt").inc(flight.usage.prompt_tokens)
        metrics.tokens.labels("completion").inc(flight.usage.completion_tokens)
        if flight.prompt.num_dropped:
            metrics.truncated.inc()
        if flight.request.stream:
            await self._close_stream(flight)
            return
        body = answers.whole(flight.identity, "".join(flight.text), reason, flight.usage)
        await flight.answer.whole(200, body, self._headers(flight))

    async def _close_stream(self, flight: _Flight) -> None:
        usage = answers.usage_piece(flight.identity, flight.usage) if flight.request.include_usage else b""
        await flight.answer.write(usage + answers.DONE, more=False)

    async def _end_by(self, flight: _Flight, problem: Problem) -> None:
        """Answer with a problem; in a stream that has begun it is its last event."""
        self._parts.metrics.rejected.labels(problem.code or problem.type).inc()
        if flight.answer.is_started:
            await flight.answer.write(answers.problem_piece(problem), more=False)
        else:
            await flight.answer.problem(problem)

    async def _end_cancelled(self, flight: _Flight) -> None:
        """End a request that was given up; one whose asker left needs no answer."""
        ticket, metrics = flight.ticket, self._parts.metrics
        assert ticket.cancelled is not None
        metrics.cancelled.labels(ticket.stage, ticket.cancelled).inc()
        metrics.wasted_tokens.inc(ticket.num_tokens)
        if ticket.cancelled == "disconnected":
            return
        if flight.answer.is_started:
            with contextlib.suppress(OSError):
                await self._stream_piece(flight, "", "cancelled")
                await self._close_stream(flight)
            return
        await flight.answer.problem(problems.cancelled("a newer request for the same user and file came"))

    def _headers(self, flight: _Flight) -> dict[str, str]:
        """Return what is to be said about the prompt that was asked, if anything."""
        found = {}
        if flight.prompt.num_dropped:
            found[TRUNCATED_HEADER] = str(flight.prompt.num_dropped)
        if flight.request.suffix is not None and self._parts.config.fim == "None":
            found[SUFFIX_HEADER] = "ignored"
        return found

    def _remember(self, flight: _Flight) -> None:
        """Keep what events may refer to. Also of a request that was given up: its asker may show what it got."""
        num_characters = sum(len(text) for text in flight.text)
        if num_characters == 0:
            return
        config = self._parts.config
        record = Record(
            model=config.model_name,
            model_digest=config.model_digest,
            language=compose.language_of(flight.request.file, compose.LANGUAGES),
            user=user_hash(flight.request.user),
            num_characters=num_characters,
        )
        self._parts.journal.remember(flight.identity.completion_id, record)
