"""OpenAI's ``/v1/completions``, which vLLM, LM Studio, LangChain, litellm, Zed, minuet and many more send. Pure.

Also what tools send beside it to a server that speaks OpenAI: text-generation-inference's ``parameters`` (llm-ls).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daybreak_serve.gateway.dialects import sampling
from daybreak_serve.gateway.dialects.dialect import CompletionChoice, Dialect, RequestHeaders
from daybreak_serve.gateway.dialects.misplaced import refuse_misplaced
from daybreak_serve.gateway.dialects.textgen import with_parameters
from daybreak_serve.gateway.http.answers import EVENTS, CompletionIdentity, Usage, as_json, event
from daybreak_serve.gateway.http.problems import ApiProblem
from daybreak_serve.gateway.http.requests import CompletionRequest, RequestLimits, parse_object, read

DONE = b"data: [DONE]\n\n"


class OpenAiCompletions(Dialect):
    """The dialect that all others are measured by."""

    name = "openai"
    stream_type = EVENTS

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Read a body."""
        document = sampling.openai(with_parameters(parse_object(body)))
        refuse_misplaced(document, ("prompt", "suffix"))
        return read(document, headers.file, limits, headers.prompt)

    def whole(self, identity: CompletionIdentity, choices: Sequence[CompletionChoice], usage: Usage) -> bytes:
        """Return a ``text_completion``."""
        return as_json(
            _object(identity, [_choice(choice) for choice in choices]) | {"usage": usage.document()}
        )

    def piece(self, identity: CompletionIdentity, choice: CompletionChoice, *, with_usage: bool) -> bytes:
        """Return one event. Clients that asked for usage find ``usage: null`` until the last."""
        document = _object(identity, [_choice(choice)])
        return event(document | {"usage": None} if with_usage else document)

    def end(
        self,
        identity: CompletionIdentity,
        choices: Sequence[CompletionChoice],
        usage: Usage,
        *,
        with_usage: bool,
    ) -> bytes:
        """Return the event with the usage, without choices as OpenAI sends it, and the end."""
        last = event(_object(identity, []) | {"usage": usage.document()}) if with_usage else b""
        return last + DONE

    def problem(self, problem: ApiProblem) -> bytes:
        """Return OpenAI's error object."""
        return problem.body()


def _object(identity: CompletionIdentity, choices: list[dict[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": identity.completion_id,
        "object": "text_completion",
        "created": identity.created,
        "model": identity.model,
        "choices": choices,
    }
    return document | ({"system_fingerprint": identity.fingerprint} if identity.fingerprint else {})


def _choice(choice: CompletionChoice) -> dict[str, Any]:
    return {
        "text": choice.text,
        "index": choice.index,
        "logprobs": None,
        "finish_reason": choice.finish_reason,
        "stop_reason": choice.stop,  # vLLM's word; OpenAI tells no stop string from an end
    }
