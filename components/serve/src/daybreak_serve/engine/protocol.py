"""What gateway and engine say to each other through Triton: tensor names, options, chunks.

One request is ``prompt_ids`` (INT32) and ``options`` (JSON); it is answered by many ``chunk`` tensors (JSON).
Owns what every engine refuses, no transport and no generation.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

MODEL_NAME = "completion"
PROMPT_IDS = "prompt_ids"
OPTIONS = "options"
CHUNK = "chunk"
RUNNING_METRIC = "daybreak_engine_running"
"""Gauge of the engine's Triton: a pod that ends waits until it is zero."""

MAX_STOP_STRINGS = 64
"""OpenAI takes four; editors send a dozen and more."""

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True)
class GenerationOptions:
    """How to generate. ``temperature`` 0 is greedy; ``seed`` None draws from the engine's own randomness."""

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens must be at least 1, got {self.max_tokens}")
        if not 0.0 <= self.temperature <= 2.0:
            raise ValueError(f"temperature must be between 0 and 2, got {self.temperature}")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}")
        if len(self.stop) > MAX_STOP_STRINGS or not all(self.stop):
            raise ValueError(f"stop takes at most {MAX_STOP_STRINGS} strings, none empty, got {self.stop!r}")


@dataclass(frozen=True)
class Chunk:
    """A piece of a completion: text that ends on a whole character, and the tokens made since the last one.

    The text may lag behind the tokens (half a character, the start of a stop string) and never runs ahead.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None = None
    stop: str | None = None
    """The asked stop string that ended the text; None where the model ended it, or something else did."""


def encode_options(options: GenerationOptions) -> bytes:
    """Return the options as JSON."""
    return json.dumps(asdict(options)).encode()


def decode_options(data: bytes) -> GenerationOptions:
    """Read options; anything wrong is a ValueError with the reason."""
    document: dict[str, Any] = json.loads(data)
    try:
        return GenerationOptions(**{**document, "stop": tuple(document.get("stop", ()))})
    except TypeError as error:
        raise ValueError(f"options: {error}") from error


def why_refused(
    prompt_ids: Sequence[int], options: GenerationOptions, context_length: int, vocabulary_size: int
) -> str | None:
    """Return why an engine cannot answer a request, None if it can."""
    size = len(prompt_ids)
    if size < 1:
        return "the prompt is empty"
    if size + options.max_tokens > context_length:
        return f"prompt ({size}) and max_tokens ({options.max_tokens}) exceed the context of {context_length}"
    if min(prompt_ids) < 0 or max(prompt_ids) >= vocabulary_size:
        return f"the prompt has token ids outside the vocabulary of {vocabulary_size}"
    return None


def encode_chunk(chunk: Chunk) -> bytes:
    """Return a chunk as JSON."""
    return json.dumps(asdict(chunk), ensure_ascii=False).encode()


def decode_chunk(data: bytes) -> Chunk:
    """Read a chunk that the engine wrote."""
    document = json.loads(data)
    text, token_ids, reason = document["text"], tuple(document["token_ids"]), document["finish_reason"]
    return Chunk(text, token_ids, reason, document.get("stop"))  # older engines name none
