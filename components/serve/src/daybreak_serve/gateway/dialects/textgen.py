"""Hugging Face's text-generation-inference: ``/generate`` and the older list answer of ``/``. Pure.

llm-ls, and with it llm.nvim and llm-vscode, send both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daybreak_serve.gateway.dialects import sampling
from daybreak_serve.gateway.dialects.dialect import CompletionChoice, Dialect, RequestHeaders
from daybreak_serve.gateway.dialects.misplaced import refuse_misplaced
from daybreak_serve.gateway.http.answers import EVENTS, CompletionIdentity, Usage, as_json, event
from daybreak_serve.gateway.http.problems import ApiProblem, invalid
from daybreak_serve.gateway.http.requests import CompletionRequest, RequestLimits, parse_object, read


def with_parameters(document: dict[str, Any]) -> dict[str, Any]:
    """Return a body with what its ``parameters`` say, in OpenAI's words; what the body itself says wins.

    ``do_sample: false`` means the likeliest token whatever the temperature.
    """
    parameters = document.get("parameters")
    if not isinstance(parameters, dict):
        return document
    found = sampling.textgen(parameters)
    stop = next(
        (parameters[name] for name in ("stop", "stop_tokens") if parameters.get(name) is not None), None
    )
    if stop is not None:
        found["stop"] = stop
    rest = {name: value for name, value in document.items() if name != "parameters"}
    return found | rest


class TextGeneration(Dialect):
    """``/generate``, with ``listed`` the answer in a list, with ``streams`` always a stream (``/generate_stream``)."""

    stream_type = EVENTS

    def __init__(self, *, listed: bool = False, streams: bool = False) -> None:
        self._listed = listed
        self._streams = streams
        self.name = "text-generation-inference"

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Read a body."""
        document = parse_object(body)
        refuse_misplaced(document, ("inputs",))
        inputs = document.pop("inputs", None)
        if not isinstance(inputs, str):
            raise invalid("inputs must be a string", "inputs")
        parameters = document.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise invalid("parameters must be an object", "parameters")
        full: dict[str, Any] = {"echo": True} if parameters.get("return_full_text") else {}
        if self._streams:
            full["stream"] = True
        document.pop("options", None)
        return read(
            {**with_parameters(document), "prompt": inputs, **full}, headers.file, limits, headers.prompt
        )

    def whole(self, identity: CompletionIdentity, choices: Sequence[CompletionChoice], usage: Usage) -> bytes:
        """Return the generated text."""
        found = [_generated(choice, usage) for choice in choices]
        return as_json(found if self._listed else found[0])

    def piece(self, identity: CompletionIdentity, choice: CompletionChoice, *, with_usage: bool) -> bytes:
        """Return one event; tokens are not told apart."""
        token = {"id": 0, "text": choice.text, "logprob": None, "special": False}
        return event({"index": choice.index, "token": token, "generated_text": None, "details": None})

    def end(
        self,
        identity: CompletionIdentity,
        choices: Sequence[CompletionChoice],
        usage: Usage,
        *,
        with_usage: bool,
    ) -> bytes:
        """Return the event with the whole text and why it ended; its token is no text."""
        token = {"id": 0, "text": "", "logprob": None, "special": True}
        return event({"index": 0, "token": token, **_generated(choices[0], usage)})

    def problem(self, problem: ApiProblem) -> bytes:
        """Return its error object."""
        return as_json({"error": problem.message, "error_type": problem.code or problem.type})


def _generated(choice: CompletionChoice, usage: Usage) -> dict[str, Any]:
    reason = "length" if choice.finish_reason == "length" else "eos_token"
    details = {
        "finish_reason": "stop_sequence" if choice.stop else reason,
        "generated_tokens": usage.completion_tokens,
        "seed": None,
        "prefill": [],
        "tokens": [],
    }
    return {"generated_text": choice.text, "details": details}
