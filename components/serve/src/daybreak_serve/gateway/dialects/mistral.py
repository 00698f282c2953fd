"""Mistral's ``/v1/fim/completions`` (Codestral): prompt and suffix in, chat objects out. Pure.

Continue and minuet send it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daybreak_serve.gateway.dialects import sampling
from daybreak_serve.gateway.dialects.dialect import CompletionChoice, Dialect, RequestHeaders
from daybreak_serve.gateway.dialects.misplaced import refuse_misplaced
from daybreak_serve.gateway.dialects.openai import DONE
from daybreak_serve.gateway.http.answers import EVENTS, CompletionIdentity, Usage, as_json, event
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import CompletionRequest, RequestLimits, parse_object, read


class MistralFim(Dialect):
    """Fill-in-the-middle as Mistral's API has it."""

    name = "mistral"
    stream_type = EVENTS

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Read a body; ``random_seed`` is its word for ``seed``."""
        document = parse_object(body)
        refuse_misplaced(document, ("prompt", "suffix"))
        if "random_seed" in document:
            document.setdefault("seed", document.pop("random_seed"))
        document.pop("min_tokens", None)
        if document.get("suffix") is None:
            document["suffix"] = ""
        return read(sampling.openai(document), headers.file, limits, "text")

    def whole(self, identity: CompletionIdentity, choices: Sequence[CompletionChoice], usage: Usage) -> bytes:
        """Return a ``chat.completion``."""
        found = [
            {
                "index": choice.index,
                "message": {"role": "assistant", "content": choice.text, "tool_calls": None},
                "finish_reason": choice.finish_reason,
            }
            for choice in choices
        ]
        return as_json(_object(identity, "chat.completion", found) | {"usage": usage.document()})

    def piece(self, identity: CompletionIdentity, choice: CompletionChoice, *, with_usage: bool) -> bytes:
        """Return a ``chat.completion.chunk``."""
        found = {
            "index": choice.index,
            "delta": {"role": "assistant", "content": choice.text},
            "finish_reason": choice.finish_reason,
        }
        return event(_object(identity, "chat.completion.chunk", [found]))

    def end(
        self,
        identity: CompletionIdentity,
        choices: Sequence[CompletionChoice],
        usage: Usage,
        *,
        with_usage: bool,
    ) -> bytes:
        """Return the usage if it was asked for, and the end."""
        last = _object(identity, "chat.completion.chunk", []) | {"usage": usage.document()}
        return (event(last) if with_usage else b"") + DONE

    def problem(self, problem: ApiProblem) -> bytes:
        """Return OpenAI's error object, which Mistral's clients print too."""
        return problem.body()


def _object(identity: CompletionIdentity, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": identity.completion_id,
        "object": kind,
        "created": identity.created,
        "model": identity.model,
        "choices": choices,
    }
