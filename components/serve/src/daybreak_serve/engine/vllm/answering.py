"""Requests answered by a model that many share by itself: cancelled with their askers, cut at their stop strings.

Knows vLLM only by `TokenModel`: no vLLM, no Triton. All of it runs in one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from daybreak_serve.engine.chunks import ChunkSink, ChunkWriter
from daybreak_serve.engine.counters import Counters
from daybreak_serve.engine.heartbeat import IDLE_BEAT_S
from daybreak_serve.engine.protocol import FinishReason, GenerationOptions, why_refused

ASK_S = 0.02
"""How often an asker is looked for, at most: about a token of a large model. Asking Triton costs some 0.2 ms."""


class ModelDied(Exception):  # noqa: N818 - a state of the world
    """The model's process is gone; nothing more comes of it."""


class ModelRefused(Exception):  # noqa: N818
    """The model could not answer this one request."""


@dataclass(frozen=True)
class NewTokens:
    """What a model made of a request since the last time."""

    token_ids: Sequence[int]
    num_reused: int = 0
    """Tokens of the prompt that were in a cache."""


class TokenModel(Protocol):
    """A model that batches by itself. Closing a generator gives its request up."""

    def generate(
        self, prompt_ids: Sequence[int], options: GenerationOptions
    ) -> AsyncGenerator[NewTokens, None]:
        """Return the tokens of a request as they come."""
        ...

    async def answers(self) -> None:
        """Return when the model's process has answered a question that costs nothing."""
        ...


@dataclass(frozen=True)
class ModelLimits:
    """What a request may ask of a model."""

    context_length: int
    vocabulary_size: int
    end_ids: frozenset[int]


class AsyncEngine:
    """Answers requests. Beats when an idle model answers, and whenever one at work says `progressed`."""

    def __init__(
        self,
        model: TokenModel,
        vocabulary: Sequence[bytes],
        limits: ModelLimits,
        *,
        clock: Callable[[], float],
        beat: Callable[[], None],
    ) -> None:
        self.counters = Counters()
        self._model = model
        self._vocabulary = vocabulary
        self._limits = limits
        self._clock = clock
        self._beat = beat
        self._num_running = 0

    def progressed(self) -> None:
        """Take note that the model did something."""
        self._beat()

    async def beat_while_idle(self) -> None:
        """Say for ever that an engine without work lives, by asking it; one at work must show it by its steps."""
        while True:
            if not self._num_running:
                await self._model.answers()
                self._beat()
            await asyncio.sleep(IDLE_BEAT_S)

    async def answer(self, prompt_ids: Sequence[int], options: GenerationOptions, sink: ChunkSink) -> None:
        """Answer one request to its end. `ModelDied` is for who owns the process; nothing is sent then."""
        limits = self._limits
        refusal = why_refused(prompt_ids, options, limits.context_length, limits.vocabulary_size)
        if refusal is not None:
            sink.fail(refusal)
            return
        self.counters.requests += 1
        self.counters.prompt_tokens += len(prompt_ids)
        writer = ChunkWriter(sink, options, self._vocabulary, limits.end_ids, self._clock)
        self._num_running += 1
        try:
            reason = await self._write(prompt_ids, options, writer, sink)
        except asyncio.CancelledError:
            sink.fail("the engine stops")
            raise
        except ModelRefused as error:
            sink.fail(f"the model failed: {error}")
            return
        finally:
            self._num_running -= 1
        if reason == "cancelled":
            self.counters.cancelled += 1
            self.counters.wasted_tokens += len(writer.token_ids)
        writer.finish(reason)

    async def _write(
        self, prompt_ids: Sequence[int], options: GenerationOptions, writer: ChunkWriter, sink: ChunkSink
    ) -> FinishReason:
        """Pass tokens on until the text ends or nobody waits for it; the model is let go either way."""
        asked_s = float("-inf")
        async with contextlib.aclosing(self._model.generate(prompt_ids, options)) as tokens:
            coming: asyncio.Task[NewTokens | None] = asyncio.ensure_future(_next(tokens))
            try:
                while True:
                    await asyncio.wait((coming,), timeout=ASK_S)
                    if self._clock() - asked_s >= ASK_S:
                        if sink.cancelled():
                            return "cancelled"
                        asked_s = self._clock()
                    if not coming.done():
                        continue
                    new = coming.result()
                    if new is None:
                        raise ModelRefused("its answer ended early")
                    reason = self._take(new, writer)
                    if reason is not None:
                        return reason
                    coming = asyncio.ensure_future(_next(tokens))
            finally:
                coming.cancel()
                await asyncio.wait((coming,))

    def _take(self, new: NewTokens, writer: ChunkWriter) -> FinishReason | None:
        if not writer.token_ids:
            self.counters.reused_prompt_tokens += new.num_reused
        for token in new.token_ids:
            self.counters.tokens += 1
            reason = writer.take(token)
            if reason is not None:
                return reason
        return None


async def _next(tokens: AsyncGenerator[NewTokens, None]) -> NewTokens | None:
    return await anext(tokens, None)
