"""Anthropic's ``/v1/messages``: blocks in, one block of text out. Pure.

By the types of the `anthropic` package. The conversation is as in ``/v1/chat/completions``: what was called is left
out, what a tool told is a message of its own, and thoughts are nobody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from daybreak_serve.gateway.dialects.chat import CALLS_LEFT_OUT, NO_JSON, NO_TOOLS, ignored, read_translated
from daybreak_serve.gateway.dialects.dialect import CompletionChoice, Dialect, RequestHeaders
from daybreak_serve.gateway.dialects.misplaced import refuse_misplaced
from daybreak_serve.gateway.http.answers import EVENTS, CompletionIdentity, Usage, as_json, event, framed
from daybreak_serve.gateway.http.paths import anthropic
from daybreak_serve.gateway.http.problems import ApiProblem, invalid
from daybreak_serve.gateway.http.requests import (
    MAX_NAME_CHARACTERS,
    CompletionRequest,
    RequestLimits,
    parse_object,
)

KEPT = ("model", "stream", "temperature", "top_p", "top_k")
"""Fields that mean the same in OpenAI's words."""
LEFT_OUT = frozenset(
    {
        "betas",
        "cache_control",
        "container",
        "context_management",
        "inference_geo",
        "max_tokens",
        "messages",
        "metadata",
        "output_config",
        "output_format",
        "service_tier",
        "speed",
        "stop_sequences",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    }
)
"""Known there; without effect here, or read apart."""
WORDS = {"max_completion_tokens": "max_tokens", "stop": "stop_sequences", "user": "metadata.user_id"}
CALLS = ("tool_use", "server_tool_use")
REASONS = {"stop": "end_turn"}
"""Of texts that no stop sequence ended; all else is a text that was cut."""


class AnthropicMessages(Dialect):
    """One message, whole or in events."""

    name = "messages"
    stream_type = EVENTS

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Read a body; without ``max_tokens`` the answer may be as long as any."""
        document = parse_object(body)
        refuse_misplaced(document, ("messages",))
        refuse_forms(document)
        found = {name: document[name] for name in KEPT if name in document}
        found |= {name: value for name, value in document.items() if name not in (*KEPT, *LEFT_OUT)}
        found["messages"] = list(_messages_of(document))
        found["max_completion_tokens"] = document.get("max_tokens")
        found["stop"] = document.get("stop_sequences") or None
        found["user"] = _user_of(document)
        request = read_translated(found, headers, limits, WORDS)
        return replace(request, warnings=(*request.warnings, *_warnings(document)))

    def whole(self, identity: CompletionIdentity, choices: Sequence[CompletionChoice], usage: Usage) -> bytes:
        """Return a ``message``."""
        choice = choices[0]
        found = _message(identity, usage.prompt_tokens, usage.completion_tokens)
        return as_json(found | {"content": [_block(choice.text)], **_reason(choice)})

    def piece(self, identity: CompletionIdentity, choice: CompletionChoice, *, with_usage: bool) -> bytes:
        """Return a delta, behind what a message begins with; nothing where there is no text."""
        found = b""
        if choice.is_first:
            found += _told("message_start", message=_message(identity, choice.prompt_tokens, 0))
            found += _told("content_block_start", index=0, content_block=_block(""))
        delta = {"type": "text_delta", "text": choice.text}
        return found + (_told("content_block_delta", index=0, delta=delta) if choice.text else b"")

    def end(
        self,
        identity: CompletionIdentity,
        choices: Sequence[CompletionChoice],
        usage: Usage,
        *,
        with_usage: bool,
    ) -> bytes:
        """Return the end of the block, why the text ended with the usage, and the end."""
        used = _usage(usage.prompt_tokens, usage.completion_tokens)
        last = _told("message_delta", delta=_reason(choices[0]), usage=used) + _told("message_stop")
        return _told("content_block_stop", index=0) + last

    def problem(self, problem: ApiProblem) -> bytes:
        """Return Anthropic's error object."""
        return anthropic(problem)

    def broken(self, identity: CompletionIdentity, problem: ApiProblem, position: int) -> bytes:
        """Return the event that its packages raise."""
        return b"event: error\n" + framed(anthropic(problem), self.stream_type)


def refuse_forms(document: Mapping[str, Any]) -> None:
    """Refuse a call that must be and an answer of a certain form; a tool that may be called is none."""
    choice = document.get("tool_choice")
    if choice is not None and (not isinstance(choice, dict) or choice.get("type") not in ("auto", "none")):
        raise invalid(f"tool_choice must be of type auto or none: {NO_TOOLS}", "tool_choice")
    config = document.get("output_config")
    if document.get("output_format") or (isinstance(config, dict) and config.get("format")):
        raise invalid(f"output_config.format must be left out: {NO_JSON}", "output_config.format")


def _user_of(document: Mapping[str, Any]) -> str | None:
    metadata = document.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return user if isinstance(user, str) and len(user) <= MAX_NAME_CHARACTERS else None


def _messages_of(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the conversation of a body: its system prompt, then its messages."""
    messages = document.get("messages")
    if document.get("system"):
        yield {"role": "system", "content": document["system"]}
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise invalid("messages must be a list of objects with role and content", "messages")
    for message in messages[:-1]:
        yield from _parts_of(message)
    for part in _parts_of(messages[-1]) if messages else ():
        yield part | {
            "prefix": part["role"] == "assistant"
        }  # the answer goes on from the model's own last words


def _parts_of(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a message without what was called, what tools told apart, before what is said to it."""
    role, content = message.get("role"), message.get("content")
    if not isinstance(content, list):
        yield {"role": role, "content": content}
        return
    blocks = [block for block in content if _kind(block) not in CALLS]
    told = [block for block in blocks if _kind(block).endswith("tool_result")]
    for block in told:
        yield {"role": "tool", "content": block.get("content") or ""}
    said = [block for block in blocks if block not in told]
    if said or not told:
        yield {"role": role, "content": said}


def _kind(block: Any) -> str:
    return str(block.get("type")) if isinstance(block, dict) else ""


def _warnings(document: Mapping[str, Any]) -> Iterator[str]:
    thinking, config = document.get("thinking"), document.get("output_config")
    asks = {
        "thinking": isinstance(thinking, dict) and thinking.get("type") != "disabled",
        "output_config.effort": isinstance(config, dict) and config.get("effort"),
    }
    yield from ignored(asks)
    if document.get("tools"):
        yield NO_TOOLS
    contents = [message.get("content") for message in document["messages"]]
    if any(_kind(block) in CALLS for content in contents if isinstance(content, list) for block in content):
        yield CALLS_LEFT_OUT


def _message(identity: CompletionIdentity, num_input: int, num_output: int) -> dict[str, Any]:
    return {
        "id": identity.completion_id,
        "type": "message",
        "role": "assistant",
        "model": identity.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(num_input, num_output),
    }


def _usage(num_input: int, num_output: int) -> dict[str, int]:
    nothing = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"input_tokens": num_input, **nothing, "output_tokens": num_output}


def _block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}  # no ``citations: null``: the AI SDK reads no such block


def _reason(choice: CompletionChoice) -> dict[str, str | None]:
    reason = "stop_sequence" if choice.stop else REASONS.get(choice.finish_reason or "", "max_tokens")
    return {"stop_reason": reason, "stop_sequence": choice.stop}


def _told(kind: str, **document: Any) -> bytes:
    """Return one event by its name, which its packages read before the data."""
    return event({"type": kind, **document}, kind)
