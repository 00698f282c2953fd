"""Generation for many requests at once: each turn gives every request one prompt piece or one token.

Taking turns keeps a long request from blocking the others. The tokens of a turn are computed in one pass, which the
model promises to be the same as one by one: the text of a request is the same whoever shares the engine. Knows the
model only by `EngineModel` and the client only by `ChunkSink`: no torch, no Triton.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from daybreak_model.sampling import StopScanner, choose
from daybreak_serve.engine.detokenize import Detokenizer
from daybreak_serve.engine.heartbeat import IDLE_BEAT_S
from daybreak_serve.engine.protocol import Chunk, FinishReason, GenerationOptions

FULL_GROUP = 4
PATIENT_GROUP = 2
PATIENCE_S = 0.02
"""Tokens a chunk after the first: four, or two once 20 ms have passed. The rate of responses, not of requests, is
Triton's ceiling on CPU (some 4,600 a second on two cores, docs/thresholds.md)."""

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


class ChunkSink(Protocol):
    """Where the chunks of one request go."""

    def cancelled(self) -> bool:
        """Tell whether nobody waits any more."""
        ...

    def send(self, chunk: Chunk) -> None:
        """Take a chunk; the one with a finish reason is the last."""
        ...

    def fail(self, reason: str) -> None:
        """Take the reason why there will be no (more) text."""
        ...


@dataclass
class Counters:
    """What the engine did since it started."""

    requests: int = 0
    prompt_tokens: int = 0
    reused_prompt_tokens: int = 0
    tokens: int = 0
    cancelled: int = 0
    wasted_tokens: int = 0
    """Tokens of requests that were cancelled."""


@dataclass
class _Sequence:
    prompt_ids: list[int]
    options: GenerationOptions
    sink: ChunkSink
    cache: Any
    fed: int
    random: np.random.Generator | None
    detokenizer: Detokenizer
    scanner: StopScanner
    token_ids: list[int] = field(default_factory=list)
    text: str = ""
    sent: int = 0
    last_sent_s: float = 0.0
    has_ended: bool = False


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
        size = len(prompt_ids)
        if size < 1:
            sink.fail("the prompt is empty")
        elif size + options.max_tokens > self._model.context_length:
            limit = self._model.context_length
            sink.fail(f"prompt ({size}) and max_tokens ({options.max_tokens}) exceed the context of {limit}")
        elif min(prompt_ids) < 0 or max(prompt_ids) >= self._model.vocabulary_size:
            sink.fail(f"the prompt has token ids outside the vocabulary of {self._model.vocabulary_size}")
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
            cache=cache,
            fed=fed,
            random=np.random.default_rng(seed) if options.temperature > 0 else None,
            detokenizer=Detokenizer(self._vocabulary),
            scanner=StopScanner(options.stop),
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
        token = choose(logits, options.temperature, options.top_p, sequence.random)
        reason = self._accept(sequence, token)
        if reason is not None:
            self._finish(sequence, reason)

    def _accept(self, sequence: _Sequence, token: int) -> FinishReason | None:
        self.counters.tokens += 1
        sequence.token_ids.append(token)
        if token in self._end_ids:
            return "stop"
        text, stopped = sequence.scanner.add(sequence.detokenizer.add(token))
        sequence.text += text
        if stopped:
            return "stop"
        if len(sequence.token_ids) == sequence.options.max_tokens:
            return "length"
        self._flush(sequence)
        return None

    def _flush(self, sequence: _Sequence) -> None:
        now = self._clock()
        waiting = len(sequence.token_ids) - sequence.sent
        if is_group_ready(waiting, sequence.sent == 0, now - sequence.last_sent_s):
            self._send(sequence, None)
            sequence.last_sent_s = now

    def _finish(self, sequence: _Sequence, reason: FinishReason) -> None:
        sequence.has_ended = True
        if reason == "length" or (reason == "stop" and sequence.token_ids[-1] in self._end_ids):
            text, stopped = sequence.scanner.add(sequence.detokenizer.finish())
            sequence.text += text if stopped else text + sequence.scanner.finish()
        self._send(sequence, reason)
        fed = sequence.prompt_ids[: sequence.fed] + sequence.token_ids[:-1]
        self._model.release(sequence.cache, fed)

    def _send(self, sequence: _Sequence, reason: FinishReason | None) -> None:
        token_ids = tuple(sequence.token_ids[sequence.sent :])
        sequence.sink.send(Chunk(sequence.text, token_ids, reason))
        sequence.sent, sequence.text = len(sequence.token_ids), ""


def is_group_ready(num_waiting: int, is_first: bool, since_last_s: float) -> bool:
    """Tell whether waiting tokens go out now: the first at once, then four, or two after 20 ms."""
    if is_first:
        return num_waiting >= 1
    return num_waiting >= FULL_GROUP or (num_waiting >= PATIENT_GROUP and since_last_s >= PATIENCE_S)
