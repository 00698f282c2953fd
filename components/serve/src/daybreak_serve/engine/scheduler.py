"""Generation for many requests at once: each turn gives every request one prompt piece or one token.

Taking turns keeps a long request from blocking the others. The tokens of a turn are computed in one pass, which the
model promises to be the same as one by one: the text of a request is the same whoever shares the engine. Knows the
model only by `EngineModel` and the client only by `ChunkSink`: no torch, no Triton.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from daybreak_model.sampling import choose
from daybreak_serve.engine.chunks import ChunkSink, ChunkWriter
from daybreak_serve.engine.counters import Counters
from daybreak_serve.engine.heartbeat import IDLE_BEAT_S
from daybreak_serve.engine.protocol import Chunk, FinishReason, GenerationOptions, why_refused

FAILURES = (RuntimeError, MemoryError)
"""How torch tells of too little memory and of bad shapes."""


class EngineModel(Protocol):
    """A causal model with a cache per request."""

    context_length: int
    vocabulary_size: int

    def start(self, prompt_ids: Sequence[int]) -> tuple[Any, int]:
        """Return a cache for a prompt and how many of its tokens are in the cache already."""
        ...

    def advance(self, cache: Any, token_ids: Sequence[int]) -> NDArray[np.float32]:
        """Feed tokens; return the logits after the last of them, shape ``(vocabulary,)``."""
        ...

    def advance_together(self, caches: Sequence[Any], token_ids: Sequence[int]) -> NDArray[np.float32]:
        """Feed one token to each cache; return the logits after them, shape ``(caches, vocabulary)``.

        Each row is what `advance` would give alone. A failure leaves every cache as it was.
        """
        ...

    def release(self, cache: Any, token_ids: Sequence[int]) -> None:
        """Take a cache back. ``token_ids`` are the tokens that were fed to it."""
        ...


@dataclass
class _Sequence:
    prompt_ids: list[int]
    options: GenerationOptions
    sink: ChunkSink
    writer: ChunkWriter
    cache: Any
    fed: int
    random: np.random.Generator | None
    has_ended: bool = False

    @property
    def token_ids(self) -> list[int]:
        return self.writer.token_ids


class Engine:
    """The scheduler. `submit` may be called by any thread; `turn` and `run` belong to one."""

    def __init__(
        self,
        model: EngineModel,
        vocabulary: Sequence[bytes],
        end_ids: frozenset[int],
        *,
        clock: Callable[[], float],
        new_seed: Callable[[], int],
        beat: Callable[[], None] = lambda: None,
        max_running: int = 8,
        prompt_piece: int = 256,
    ) -> None:
        self.counters = Counters()
        self._model = model
        self._vocabulary = vocabulary
        self._end_ids = end_ids
        self._clock = clock
        self._new_seed = new_seed
        self._beat = beat
        self._max_running = max_running
        self._prompt_piece = prompt_piece
        self._arrivals: queue.SimpleQueue[tuple[list[int], GenerationOptions, ChunkSink] | None] = (
            queue.SimpleQueue()
        )
        self._running: list[_Sequence] = []
        self._closed = threading.Event()

    def submit(self, prompt_ids: Sequence[int], options: GenerationOptions, sink: ChunkSink) -> None:
        """Queue a request. One that cannot be answered is failed at once, with the reason."""
        reason = why_refused(prompt_ids, options, self._model.context_length, self._model.vocabulary_size)
        if reason is not None:
            sink.fail(reason)
        else:
            self._arrivals.put(([int(token) for token in prompt_ids], options, sink))

    def close(self) -> None:
        """Make `run` return; requests in it are failed."""
        self._closed.set()
        self._arrivals.put(None)

    def run(self) -> None:
        """Serve until `close`."""
        while not self._closed.is_set():
            self._beat()
            self._admit(wait=not self._running)
            self.turn()
        for sequence in self._running:
            sequence.sink.fail("the engine stops")
        while not self._arrivals.empty():
            arrival = self._arrivals.get()
            if arrival is not None:
                arrival[2].fail("the engine stops")

    def _admit(self, wait: bool) -> None:
        while len(self._running) < self._max_running:
            try:
                arrival = self._arrivals.get(block=wait, timeout=IDLE_BEAT_S)
            except queue.Empty:
                return
            if arrival is None:
                return
            wait = False
            self._start(*arrival)

    def _start(self, prompt_ids: list[int], options: GenerationOptions, sink: ChunkSink) -> None:
        self.counters.requests += 1
        if sink.cancelled():  # a request that waited for a free place may have been given up
            self.counters.cancelled += 1
            sink.send(Chunk("", (), "cancelled"))
            return
        cache, fed = self._model.start(prompt_ids)
        self.counters.prompt_tokens += len(prompt_ids)
        self.counters.reused_prompt_tokens += fed
        seed = options.seed if options.seed is not None else self._new_seed()
        sequence = _Sequence(
            prompt_ids=prompt_ids,
            options=options,
            sink=sink,
            writer=ChunkWriter(sink, options, self._vocabulary, self._end_ids, self._clock),
            cache=cache,
            fed=fed,
            random=np.random.default_rng(seed) if options.temperature > 0 else None,
        )
        self._running.append(sequence)

    def turn(self) -> None:
        """Give every running request one token, all in one pass, or one piece of its prompt."""
        self._admit(wait=False)
        for sequence in self._running:
            self._heed(sequence)
        here = [sequence for sequence in self._running if not sequence.has_ended]
        writing = [sequence for sequence in here if sequence.token_ids]
        reading = [sequence for sequence in here if not sequence.token_ids]
        if writing:
            self._write(writing)
        for sequence in reading:
            self._read(sequence)
        self._running = [sequence for sequence in here if not sequence.has_ended]

    def _heed(self, sequence: _Sequence) -> None:
        """End a request whose asker left."""
        if sequence.sink.cancelled():
            self.counters.cancelled += 1
            self.counters.wasted_tokens += len(sequence.token_ids)
            self._finish(sequence, "cancelled")

    def _write(self, sequences: list[_Sequence]) -> None:
        """Give each of these its next token."""
        self._beat()
        caches = [sequence.cache for sequence in sequences]
        try:
            logits = self._model.advance_together(caches, [sequence.token_ids[-1] for sequence in sequences])
        except FAILURES as error:
            if len(sequences) == 1:
                self._fail(sequences[0], error)
            else:
                for sequence in sequences:  # alone, each shows whether it can go on
                    self._write([sequence])
            return
        for sequence, row in zip(sequences, logits, strict=True):
            self._take(sequence, row)

    def _read(self, sequence: _Sequence) -> None:
        """Read one piece of a prompt; the last one gives the first token."""
        self._beat()
        piece = sequence.prompt_ids[sequence.fed : sequence.fed + self._prompt_piece]
        try:
            logits = self._model.advance(sequence.cache, piece)
        except FAILURES as error:
            self._fail(sequence, error)
            return
        sequence.fed += len(piece)
        if sequence.fed == len(sequence.prompt_ids):
            self._take(sequence, logits)

    def _fail(self, sequence: _Sequence, error: Exception) -> None:
        sequence.has_ended = True
        sequence.sink.fail(f"the model failed: {error}")

    def _take(self, sequence: _Sequence, logits: NDArray[np.float32]) -> None:
        """Choose the next token."""
        options = sequence.options
        self.counters.tokens += 1
        reason = sequence.writer.take(choose(logits, options.temperature, options.top_p, sequence.random))
        if reason is not None:
            self._finish(sequence, reason)

    def _finish(self, sequence: _Sequence, reason: FinishReason) -> None:
        sequence.has_ended = True
        sequence.writer.finish(reason)
        fed = sequence.prompt_ids[: sequence.fed] + sequence.token_ids[:-1]
        self._model.release(sequence.cache, fed)
