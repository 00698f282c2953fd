"""Ollama's ``/api/generate`` and ``/api/chat``: options in an object, answers as lines of JSON. Pure.

Zed, Continue, twinny, CodeGPT, llm-ls, gptel and others speak it to what they take for a machine's own server. Its
streams are on unless a request says otherwise; a line that says ``done: true`` is the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from daybreak_serve.gateway.dialects import sampling
from daybreak_serve.gateway.dialects.chat import read_translated
from daybreak_serve.gateway.dialects.dialect import CompletionChoice, Dialect, RequestHeaders
from daybreak_serve.gateway.dialects.misplaced import refuse_misplaced
from daybreak_serve.gateway.http.answers import LINES, CompletionIdentity, Usage, as_json
from daybreak_serve.gateway.http.problems import ApiProblem, invalid, renamed
from daybreak_serve.gateway.http.requests import CompletionRequest, RequestLimits, parse_object, read

NANOSECONDS = 1_000_000_000
"""Of its durations; ModelFusion (privy) reads no answer without them."""
KEPT = ("model", "prompt", "messages", "suffix", "stream", "tools", "user")
WORDS = {"max_tokens": "options.num_predict"}
LEFT_OUT = frozenset(
    {"options", "keep_alive", "raw", "context", "think", "system", "template", "format", "images"}
)


class OllamaGenerate(Dialect):
    """Texts."""

    name = "ollama"
    stream_type = LINES

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Read a body. An empty prompt, which loads a model there, asks for one token."""
        document = in_our_words(parse_object(body))
        refuse_misplaced(document, ("prompt", "suffix"))
        try:
            return read(document, headers.file, limits, headers.prompt)
        except ApiProblem as problem:
            raise renamed(problem, WORDS) from problem

    def whole(self, identity: CompletionIdentity, choices: Sequence[CompletionChoice], usage: Usage) -> bytes:
        """Return the answer's object."""
        choice = choices[0]
        return as_json(self.line(identity, choice.text) | _last(choice.finish_reason, usage))

    def piece(self, identity: CompletionIdentity, choice: CompletionChoice, *, with_usage: bool) -> bytes:
        """Return one line."""
        return as_json(self.line(identity, choice.text) | {"done": False}) + b"\n"

    def end(
        self,
        identity: CompletionIdentity,
        choices: Sequence[CompletionChoice],
        usage: Usage,
        *,
        with_usage: bool,
    ) -> bytes:
        """Return the last line."""
        return as_json(self.line(identity, "") | _last(choices[0].finish_reason, usage)) + b"\n"

    def problem(self, problem: ApiProblem) -> bytes:
        """Return its error object."""
        return as_json({"error": problem.message})

    def line(self, identity: CompletionIdentity, text: str) -> dict[str, Any]:
        """Return what every line has."""
        return _head(identity) | {"response": text}


class OllamaChat(OllamaGenerate):
    """Conversations."""

    name = "ollama chat"

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Read a body."""
        return read_translated(in_our_words(parse_object(body)), headers, limits, WORDS)

    def line(self, identity: CompletionIdentity, text: str) -> dict[str, Any]:
        """Return what every line has."""
        return _head(identity) | {"message": {"role": "assistant", "content": text}}


def in_our_words(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body in OpenAI's words.

    >>> in_our_words({"prompt": "a", "raw": True, "options": {"num_predict": -1, "seed": -1}})
    {'prompt': 'a', 'max_tokens': -1, 'stream': True}
    """
    if document.get("format"):
        raise invalid(
            "format must be left out: answers are not held to JSON here, ask for it in the prompt", "format"
        )
    messages = document.get("messages")
    said = [document, *(messages if isinstance(messages, list) else ())]
    if any(isinstance(one, dict) and one.get("images") for one in said):
        raise invalid("images must be left out: this model reads none", "images")
    options = document.get("options")
    if options is not None and not isinstance(options, dict):
        raise invalid("options must be an object", "options")
    found = {name: document[name] for name in KEPT if document.get(name) is not None}
    found |= {name: value for name, value in document.items() if name not in (*KEPT, *LEFT_OUT)}
    if options:
        found |= sampling.ollama(options)
    if options and options.get("stop"):
        found["stop"] = options["stop"]
    if not any(document.get(name) for name in ("prompt", "suffix", "messages")):
        found["max_tokens"] = 1  # loads or unloads a model there, as cmp-ai does at its end
    if document.get("suffix") == "" and document.get("raw"):
        found.pop("suffix", None)
    found.setdefault("stream", True)
    return found


def _head(identity: CompletionIdentity) -> dict[str, Any]:
    at = datetime.fromtimestamp(identity.created, UTC)
    return {"model": identity.model, "created_at": f"{at:%Y-%m-%dT%H:%M:%S}Z"}


def _last(reason: str | None, usage: Usage) -> dict[str, Any]:
    return {
        "done": True,
        "done_reason": "length" if reason == "length" else "stop",
        "total_duration": round(usage.total_s * NANOSECONDS),
        "load_duration": 0,
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": round(usage.first_s * NANOSECONDS),
        "eval_count": usage.completion_tokens,
        "eval_duration": round(usage.rest_s * NANOSECONDS),
    }
