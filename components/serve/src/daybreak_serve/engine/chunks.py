"""The tokens of one request as the chunks that its asker gets: whole characters, stop strings, few responses.

Owns when a text ends and when a chunk goes out, for every engine alike. Knows the client only by `ChunkSink`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from daybreak_model.sampling import StopScanner
from daybreak_serve.engine.detokenize import Detokenizer
from daybreak_serve.engine.protocol import Chunk, FinishReason, GenerationOptions

FULL_GROUP = 4
PATIENT_GROUP = 2
PATIENCE_S = 0.02
"""Tokens a chunk after the first: four, or two once 20 ms have passed. The rate of responses, not of requests, is
Triton's ceiling on CPU (some 4,600 a second on two cores, docs/thresholds.md)."""


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


class ChunkWriter:
    """Takes a request's tokens one by one and sends its chunks."""

    def __init__(
        self,
        sink: ChunkSink,
        options: GenerationOptions,
        vocabulary: Sequence[bytes],
        end_ids: frozenset[int],
        clock: Callable[[], float],
    ) -> None:
        self._sink = sink
        self._options = options
        self._end_ids = end_ids
        self._clock = clock
        self._detokenizer = Detokenizer(vocabulary)
        self._scanner = StopScanner(options.stop)
        self._text = ""
        self._sent = 0
        self._last_sent_s = 0.0
        self.token_ids: list[int] = []

    def take(self, token: int) -> FinishReason | None:
        """Take the next token; return why the text ends with it, None if it goes on."""
        self.token_ids.append(token)
        if token in self._end_ids:
            return "stop"
        text, stopped = self._scanner.add(self._detokenizer.add(token))
        self._text += text
        if stopped:
            return "stop"
        if len(self.token_ids) == self._options.max_tokens:
            return "length"
        self._flush()
        return None

    def finish(self, reason: FinishReason) -> None:
        """Send the last chunk. What waited for a stop string or half a character is text now, if none came."""
        if reason == "length" or (reason == "stop" and self.token_ids[-1] in self._end_ids):
            text, stopped = self._scanner.add(self._detokenizer.finish())
            self._text += text if stopped else text + self._scanner.finish()
        self._send(reason)

    def _flush(self) -> None:
        now = self._clock()
        waiting = len(self.token_ids) - self._sent
        if is_group_ready(waiting, self._sent == 0, now - self._last_sent_s):
            self._send(None)
            self._last_sent_s = now

    def _send(self, reason: FinishReason | None) -> None:
        stop = self._scanner.met if reason == "stop" else None
        self._sink.send(Chunk(self._text, tuple(self.token_ids[self._sent :]), reason, stop))
        self._sent, self._text = len(self.token_ids), ""


def is_group_ready(num_waiting: int, is_first: bool, since_last_s: float) -> bool:
    """Tell whether waiting tokens go out now: the first at once, then four, or two after 20 ms."""
    if is_first:
        return num_waiting >= 1
    return num_waiting >= FULL_GROUP or (num_waiting >= PATIENT_GROUP and since_last_s >= PATIENCE_S)
