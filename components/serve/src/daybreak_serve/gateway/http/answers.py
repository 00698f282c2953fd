"""What every answer is made of: who answered, how many tokens, JSON and server-sent events as bytes. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

LINE_SEPARATORS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""Line ends to some readers of streams (Python's splitlines, Java's Scanner), and no others: JSON may escape them."""

EVENTS = b"text/event-stream; charset=utf-8"
LINES = b"application/x-ndjson"
"""What a stream is made of: server-sent events, or lines of JSON."""


@dataclass(frozen=True)
class CompletionIdentity:
    """What every object of one answer repeats."""

    completion_id: str
    created: int
    model: str
    fingerprint: str = ""
    """OpenAI's ``system_fingerprint``: which model of a deployment answered. Empty before one was asked."""


@dataclass(frozen=True)
class Usage:
    """Tokens of prompt and completion, and how long they took."""

    prompt_tokens: int
    completion_tokens: int
    first_s: float = 0.0
    """To the first token, which is as near to the prompt's own time as can be seen from here."""
    total_s: float = 0.0

    @property
    def rest_s(self) -> float:
        """From the first token to the last."""
        return max(self.total_s - self.first_s, 0.0)

    def document(self) -> dict[str, int]:
        """Return OpenAI's shape."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }


def as_json(document: object) -> bytes:
    """Return JSON on one line, whatever counts as a line end, without blanks: llama.vim wants ``"content":"``."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.translate(LINE_SEPARATORS).encode()


def event(document: object, name: str = "") -> bytes:
    """Return one server-sent event; some protocols tell theirs apart by a name before the data."""
    head = f"event: {name}\n".encode() if name else b""
    return head + framed(as_json(document), EVENTS)


def framed(body: bytes, stream_type: bytes) -> bytes:
    """Return JSON as one part of a stream."""
    return body + b"\n" if stream_type == LINES else b"data: " + body + b"\n\n"
