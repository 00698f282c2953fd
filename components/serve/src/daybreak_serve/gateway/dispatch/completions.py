"""``POST /v1/completions``: one request from its bytes to its last event.

The order is fixed: parse, give up the earlier request of the same user and file, have an engine asked
(`dispatcher`), pass its chunks on. Every way out counts itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from starlette.types import Receive, Scope, Send

from daybreak_contracts import names
from daybreak_model.fim import ComposedPrompt
from daybreak_model.repository_context import ALONE, NO_SURROUNDINGS
from daybreak_serve.engine.protocol import Chunk
from daybreak_serve.gateway.config import GatewaySettings
from daybreak_serve.gateway.dispatch import dispatcher
from daybreak_serve.gateway.dispatch.dispatcher import RequestContext
from daybreak_serve.gateway.events import languages
from daybreak_serve.gateway.events.counters import GatewayCounters
from daybreak_serve.gateway.events.journal import Journal, Record, user_hash
from daybreak_serve.gateway.events.metrics import GatewayMetrics, label_of
from daybreak_serve.gateway.experiments.fleet import RevisionModel, ServedRevision, ServingFleet
from daybreak_serve.gateway.experiments.shadow import Shadow
from daybreak_serve.gateway.http import answers, problems
from daybreak_serve.gateway.http.answers import CompletionIdentity, Usage
from daybreak_serve.gateway.http.asgi_io import (
    ClientDisconnected,
    ResponseWriter,
    cancel_on_disconnect,
    header,
    is_task_cancelled,
    read_body,
)
from daybreak_serve.gateway.http.cancellation import Cancellation, Supersession
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import CompletionRequest, groups_of, identified, parse

TRUNCATED_HEADER = "x-daybreak-truncated"
"""Number of prompt tokens that were dropped; absent when none was."""
SUFFIX_HEADER = "x-daybreak-suffix"
CONTEXT_HEADER = "x-daybreak-context"
"""``ignored`` where the model never learned to fill in the middle."""
FILE_HEADER = b"x-daybreak-file"
TURNED_AWAY = (problems.BUSY, problems.NO_ENGINE)
NO_PROMPT = ComposedPrompt((), 0)
SSE = b"text/event-stream; charset=utf-8"


USER_HEADER = b"x-daybreak-user"
GROUPS_HEADER = b"x-daybreak-groups"
"""Who asks, as the edge that logs people in says it; it must strip both from what comes from outside."""


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


@dataclass
class _Flight:
    """One request on its way."""

    request: CompletionRequest
    groups: tuple[str, ...]
    cancellation: Cancellation
    answer: ResponseWriter
    identity: CompletionIdentity
    began_s: float
    prompt: ComposedPrompt = NO_PROMPT
    text: list[str] = field(default_factory=list)
    reason: str = ""
    digest: str = ""
    """Of the model that was asked last; empty before any was."""
    model: RevisionModel | None = None
    has_failed: bool = False
    engine_has_failed: bool = False
    """Whether an engine of that model, believed to be well, brought no answer."""
    model_began_s: float = 0.0
    """When it became that model's request: another one may have been asked before."""

    @property
    def usage(self) -> Usage:
        return Usage(len(self.prompt.token_ids), self.cancellation.num_tokens)


class Completions:
    """The ASGI endpoint."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._shadows: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        parts, began_s = self._parts, self._parts.clock()
        parts.counters.arrive()
        answer, settings = ResponseWriter(send), parts.settings
        try:
            body = await read_body(receive, scope, settings.body_limit_bytes)
            limits = parts.fleet.limits(settings.model_name, settings.default_max_tokens)
            request = identified(parse(body, header(scope, FILE_HEADER), limits), header(scope, USER_HEADER))
        except ClientDisconnected:
            return
        except ApiProblem as problem:
            parts.metrics.rejected.labels("invalid").inc()
            await answer.problem(problem)
            return
        identity = CompletionIdentity(parts.new_id(), int(parts.wall_clock()), settings.model_name)
        groups = groups_of(header(scope, GROUPS_HEADER))
        flight = _Flight(request, groups, Cancellation(), answer, identity, began_s, model_began_s=began_s)
        watcher = asyncio.create_task(cancel_on_disconnect(receive, flight.cancellation))
        try:
            await self._fly(flight)
        finally:
            watcher.cancel()
            self._count(flight)

    def _count(self, flight: _Flight) -> None:
        parts, digest, seconds = self._parts, flight.digest, self._parts.clock() - flight.began_s
        status = str(flight.answer.status or 499)
        parts.metrics.request_seconds.labels(status, label_of(digest)).observe(seconds)
        if not digest:
            return
        if flight.cancellation.cancelled:
            parts.counters.model(digest).cancelled += 1
        else:
            parts.counters.answer(digest, parts.clock() - flight.model_began_s, failed=flight.has_failed)

    def _pass_on(self, flight: _Flight, digest: str) -> None:
        """Note which model is asked next, and what the one before it has done to this request.

        The client may get its answer all the same, so nobody would see a model whose engines die of its requests.
        """
        if flight.digest not in ("", digest):
            now = self._parts.clock()
            if flight.engine_has_failed:
                self._parts.counters.answer(flight.digest, now - flight.model_began_s, failed=True)
            flight.model_began_s = now
        flight.digest, flight.engine_has_failed = digest, False

    async def _fly(self, flight: _Flight) -> None:
        request, cancellation, supersession = flight.request, flight.cancellation, self._parts.supersession
        supersession.register(request.user, request.file, cancellation)
        try:
            await self._generate(flight)
        except ApiProblem as problem:
            if cancellation.cancelled:  # a stream that is cancelled while it is written to looks broken
                await self._end_cancelled(flight)
            else:
                await self._end_by(flight, problem)
        except asyncio.CancelledError:
            if cancellation.cancelled is None or is_task_cancelled():
                raise
            await self._end_cancelled(flight)
        finally:
            supersession.unregister(request.user, request.file, cancellation)
            self._remember(flight)

    async def _generate(self, flight: _Flight) -> None:
        parts = self._parts
        asked_s = parts.clock()

        def on_acquired() -> None:
            waited_s = parts.clock() - asked_s
            parts.metrics.queue_seconds.observe(waited_s)
            parts.counters.waited(waited_s)

        def on_try(revision: ServedRevision, model: RevisionModel, prompt: ComposedPrompt) -> None:
            self._pass_on(flight, revision.digest)
            flight.model, flight.prompt = model, prompt
            flight.identity = replace(flight.identity, fingerprint=names.short(revision.digest))
            flight.text, flight.cancellation.num_tokens = [], 0

        def on_engine_failure() -> None:
            flight.engine_has_failed = True

        async def on_chunk(chunk: Chunk) -> None:
            await self._take(flight, chunk)

        context = RequestContext(
            request=flight.request,
            groups=flight.groups,
            cancellation=flight.cancellation,
            request_id=flight.identity.completion_id,
            response_has_started=lambda: flight.answer.is_started,
            on_chunk=on_chunk,
            on_try=on_try,
            on_acquired=on_acquired,
            on_engine_failure=on_engine_failure,
        )
        await dispatcher.dispatch(parts.fleet, context)
        await self._finish(flight)
        self._mirror(flight)

    def _mirror(self, flight: _Flight) -> None:
        """Let the candidate see what was answered; what was given up it never sees."""
        wanted = None if flight.cancellation.cancelled else self._parts.shadow.wanted(flight.digest)
        if wanted is not None:
            task = asyncio.create_task(self._parts.shadow.ask(*wanted, flight.request))
            self._shadows.add(task)
            task.add_done_callback(self._shadows.discard)

    async def _take(self, flight: _Flight, chunk: Chunk) -> None:
        cancellation = flight.cancellation
        if cancellation.stage == "prefill":
            cancellation.stage = "decode"
            self._parts.metrics.ttft_seconds.observe(self._parts.clock() - flight.began_s)
        cancellation.num_tokens += len(chunk.token_ids)
        flight.text.append(chunk.text)
        flight.reason = chunk.finish_reason or ""
        if flight.request.stream and (chunk.text or chunk.finish_reason):
            await self._stream_piece(flight, chunk.text, chunk.finish_reason)

    async def _stream_piece(self, flight: _Flight, text: str, reason: str | None) -> None:
        if not flight.answer.is_started:
            headers = {"cache-control": "no-cache", **self._headers(flight)}
            await flight.answer.start(200, SSE, headers)
        with_usage = flight.request.include_usage
        await flight.answer.write(
            answers.piece(flight.identity, text, reason, with_usage=with_usage), more=True
        )

    async def _finish(self, flight: _Flight) -> None:
        metrics = self._parts.metrics
        metrics.tokens.labels("prompt").inc(flight.usage.prompt_tokens)
        metrics.tokens.labels("completion").inc(flight.usage.completion_tokens)
        if flight.prompt.num_dropped:
            metrics.truncated.inc()
        if flight.request.stream:
            await self._close_stream(flight)
            return
        body = answers.whole(flight.identity, "".join(flight.text), flight.reason, flight.usage)
        await flight.answer.whole(200, body, self._headers(flight))

    async def _close_stream(self, flight: _Flight) -> None:
        usage = answers.usage_piece(flight.identity, flight.usage) if flight.request.include_usage else b""
        await flight.answer.write(usage + answers.DONE, more=False)

    async def _end_by(self, flight: _Flight, problem: ApiProblem) -> None:
        """Answer with a problem; in a stream that has begun it is its last event."""
        self._parts.metrics.rejected.labels(problem.code or problem.type).inc()
        if problem.code in TURNED_AWAY:
            flight.digest = ""  # no model is to blame
            self._parts.counters.rejected += 1
        flight.has_failed = True
        if flight.answer.is_started:
            await flight.answer.write(answers.problem_piece(problem), more=False)
        else:
            await flight.answer.problem(problem)

    async def _end_cancelled(self, flight: _Flight) -> None:
        """End a request that was given up; one whose client disconnected needs no answer."""
        cancellation, metrics = flight.cancellation, self._parts.metrics
        assert cancellation.cancelled is not None
        metrics.cancelled.labels(cancellation.stage, cancellation.cancelled).inc()
        metrics.wasted_tokens.inc(cancellation.num_tokens)
        if cancellation.cancelled == "disconnected":
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
        fim = flight.model.fim if flight.model else "None"
        if flight.request.suffix is not None and fim == "None":
            found[SUFFIX_HEADER] = "ignored"
        num_given = len(flight.request.around.files)
        if (
            flight.request.around != NO_SURROUNDINGS
            and flight.model
            and flight.model.metadata.layout == ALONE
        ):
            found[CONTEXT_HEADER] = "ignored"
        elif flight.prompt.num_files < num_given:
            found[CONTEXT_HEADER] = f"{flight.prompt.num_files} of {num_given} files"
        return found

    def _remember(self, flight: _Flight) -> None:
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
