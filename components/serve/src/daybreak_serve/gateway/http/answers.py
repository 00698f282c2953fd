"""OpenAI's completion objects as bytes: whole, or as server-sent events. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from daybreak_serve.gateway.http.problems import ApiProblem

DONE = b"data: [DONE]\n\n"


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
    """Tokens of prompt and completion."""

    prompt_tokens: int
    completion_tokens: int

    def document(self) -> dict[str, int]:
        """Return OpenAI's shape."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }


def _object(identity: CompletionIdentity, choices: list[dict[str, object]]) -> dict[str, object]:
    document: dict[str, object] = {
        "id": identity.completion_id,
        "object": "text_completion",
        "created": identity.created,
        "model": identity.model,
        "choices": choices,
    }
    return document | ({"system_fingerprint": identity.fingerprint} if identity.fingerprint else {})


def _choice(text: str, finish_reason: str | None) -> dict[str, object]:
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": finish_reason}


def whole(identity: CompletionIdentity, text: str, finish_reason: str, usage: Usage) -> bytes:
    """Return the answer to a request that does not stream."""
    document = _object(identity, [_choice(text, finish_reason)]) | {"usage": usage.document()}
    return json.dumps(document, ensure_ascii=False).encode()


def piece(identity: CompletionIdentity, text: str, finish_reason: str | None, *, with_usage: bool) -> bytes:
    """Return one event of a stream. Clients that asked for usage find ``usage: null`` until the last event."""
    document = _object(identity, [_choice(text, finish_reason)])
    return event(document | {"usage": None} if with_usage else document)


def usage_piece(identity: CompletionIdentity, usage: Usage) -> bytes:
    """Return the event with the usage: no choices, as OpenAI sends it."""
    return event(_object(identity, []) | {"usage": usage.document()})


def problem_piece(problem: ApiProblem) -> bytes:
    """Return the event that ends a stream which broke after its start."""
    return event(problem.document())


def event(document: dict[str, object]) -> bytes:
    """Return one server-sent event; JSON without line breaks needs no further escaping."""
    return b"data: " + json.dumps(document, ensure_ascii=False).encode() + b"\n\n"
