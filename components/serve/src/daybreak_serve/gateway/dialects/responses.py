"""OpenAI's ``/v1/responses``: items in, one message out, nothing stored. Pure.

By the types of the `openai` package (``types/responses``). Codex and the newer agent packages ask nothing else. An item
is a message, or what a model thought, called and was told; the conversation is as in ``/v1/chat/completions``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from daybreak_serve.gateway.dialects.chat import CALLS_LEFT_OUT, NO_JSON, NO_TOOLS, ignored, read_translated
from daybreak_serve.gateway.dialects.dialect import CompletionChoice, Dialect, RequestHeaders
from daybreak_serve.gateway.dialects.misplaced import refuse_misplaced
from daybreak_serve.gateway.http.answers import EVENTS, CompletionIdentity, Usage, as_json, event
from daybreak_serve.gateway.http.problems import ApiProblem, invalid, renamed
from daybreak_serve.gateway.http.requests import CompletionRequest, RequestLimits, parse_object

STORED = ("previous_response_id", "conversation", "prompt", "background")
"""Fields that mean something kept by the server."""
LEFT_OUT = frozenset(
    {
        "client_metadata",
        "include",
        "max_tool_calls",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "stream_options",
    }
)
"""Known there, without effect here: nothing to warn of."""
WORDS = {
    "messages": "input",
    "messages.role": "input.role",
    "messages.content": "input.content",
    "max_completion_tokens": "max_output_tokens",
}
NOT_STORED = "nothing is stored here: send all earlier items in input"


class OpenAiResponses(Dialect):
    """One response, whole or in events."""

    name = "responses"
    stream_type = EVENTS

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Read a body."""
        document = parse_object(body)
        refuse_misplaced(document, ("input",))
        refuse_what_is_stored(document)
        refuse_forms(document)
        own = {
            *STORED,
            *LEFT_OUT,
            "input",
            "instructions",
            "max_output_tokens",
            "text",
            "tools",
            "tool_choice",
        }
        own |= {"store", "reasoning", "truncation", "top_logprobs"}
        found = {name: value for name, value in document.items() if name not in own}
        found["messages"] = list(_messages_of(document))
        found["max_completion_tokens"] = document.get("max_output_tokens")
        request = read_translated(found, headers, limits, WORDS)
        return replace(request, warnings=(*request.warnings, *_warnings(document)))

    def whole(self, identity: CompletionIdentity, choices: Sequence[CompletionChoice], usage: Usage) -> bytes:
        """Return a ``response``."""
        return as_json(_ended(identity, choices[0], usage))

    def piece(self, identity: CompletionIdentity, choice: CompletionChoice, *, with_usage: bool) -> bytes:
        """Return a delta, behind what a response begins with."""
        number = choice.position + (0 if choice.is_first else len(_BEGIN))
        events = list(_begin(identity)) if choice.is_first else []
        delta = {
            "type": "response.output_text.delta",
            **_place(identity),
            "delta": choice.text,
            "logprobs": [],
        }
        return _told([*events, delta], number)

    def end(
        self,
        identity: CompletionIdentity,
        choices: Sequence[CompletionChoice],
        usage: Usage,
        *,
        with_usage: bool,
    ) -> bytes:
        """Return the text once more, as part, as item and in the response, which is the last event."""
        choice = choices[0]
        ended = _ended(identity, choice, usage)
        item = ended["output"][0]
        part = item["content"][0]
        last = "response.completed" if ended["status"] == "completed" else "response.incomplete"
        events = [
            {"type": "response.output_text.done", **_place(identity), "text": choice.text, "logprobs": []},
            {"type": "response.content_part.done", **_place(identity), "part": part},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": last, "response": ended},
        ]
        return _told(events, choice.position + len(_BEGIN))

    def problem(self, problem: ApiProblem) -> bytes:
        """Return OpenAI's error object."""
        return renamed(problem, WORDS).body()

    def broken(self, identity: CompletionIdentity, problem: ApiProblem, position: int) -> bytes:
        """Return the event that says that the response failed, and why."""
        error = {"code": problem.code or "server_error", "message": problem.message}
        failed = _response(identity, "failed") | {"error": error}
        return _told([{"type": "response.failed", "response": failed}], position + len(_BEGIN))


def refuse_what_is_stored(document: Mapping[str, Any]) -> None:
    """Refuse what refers to an earlier response, and one that is fetched later."""
    for name in STORED:
        if document.get(name):
            raise invalid(f"{name} must be left out: {NOT_STORED}", name)


def refuse_forms(document: Mapping[str, Any]) -> None:
    """Refuse a call that must be and an answer of a certain form; a tool that may be called is none."""
    if document.get("tool_choice") not in (None, "none", "auto"):
        raise invalid(f"tool_choice must be none or auto: {NO_TOOLS}", "tool_choice")
    text = document.get("text")
    if text is not None and not isinstance(text, dict):
        raise invalid("text must be an object", "text")
    wanted = (text or {}).get("format")
    if wanted not in (None, {"type": "text"}):
        raise invalid(f"text.format must be of type text: {NO_JSON}", "text.format")


def _messages_of(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the conversation of a body: its instructions, then its items."""
    instructions, items = document.get("instructions"), document.get("input")
    if instructions is not None and not isinstance(instructions, str):
        raise invalid("instructions must be a string", "instructions")
    if instructions:
        yield {"role": "system", "content": instructions}
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    if not isinstance(items, list) or not items:
        raise invalid("input must be a string or a list of items", "input")
    for item in items:
        yield from _message_of(item)


def _message_of(item: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(item, dict):
        raise invalid("input must be a string or a list of items", "input")
    kind = str(item.get("type") or "message")
    if kind == "message":
        yield {"role": item.get("role"), "content": item.get("content")}
    elif kind.endswith("_output"):
        yield {"role": "tool", "content": item.get("output")}
    elif kind == "item_reference":
        raise invalid(f"input must hold no item_reference: {NOT_STORED}", "input")
    elif kind != "reasoning" and not kind.endswith("_call"):
        raise invalid(
            f"input has an item of type {kind[:40]!r}, which is not read here; leave it out", "input"
        )


def _warnings(document: Mapping[str, Any]) -> Iterator[str]:
    reasoning, text = document.get("reasoning"), document.get("text")
    asks = {
        "store": document.get("store"),
        "reasoning": isinstance(reasoning, dict) and any(reasoning.values()),
        "truncation": document.get("truncation") not in (None, "disabled"),
        "top_logprobs": document.get("top_logprobs"),
        "text.verbosity": isinstance(text, dict) and text.get("verbosity"),
    }
    yield from ignored(asks)
    if document.get("tools"):
        yield NO_TOOLS
    items = document.get("input")
    kinds = (
        [str(item.get("type")) for item in items if isinstance(item, dict)] if isinstance(items, list) else ()
    )
    if any(kind.endswith("_call") for kind in kinds):
        yield CALLS_LEFT_OUT


def _response(identity: CompletionIdentity, status: str) -> dict[str, Any]:
    """Return a response without its items."""
    return {
        "id": identity.completion_id,
        "object": "response",
        "created_at": identity.created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": identity.model,
        "output": [],
        "parallel_tool_calls": False,
        "previous_response_id": None,
        "store": False,
        "text": {"format": {"type": "text"}},
        "tool_choice": "none",
        "tools": [],
        "truncation": "disabled",
        "usage": None,
    }


def _ended(identity: CompletionIdentity, choice: CompletionChoice, usage: Usage) -> dict[str, Any]:
    """Return a response with its one message; a text that was cut is incomplete, with the reason where there is one."""
    is_whole = choice.finish_reason == "stop"
    found = _response(identity, "completed" if is_whole else "incomplete")
    cut = {"reason": "max_output_tokens" if choice.finish_reason == "length" else None}
    return found | {
        "incomplete_details": None if is_whole else cut,
        "output": [_item(identity, found["status"], [_part(choice.text)])],
        "usage": {
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
    }


def _item(identity: CompletionIdentity, status: str, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": _item_id(identity),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": parts,
    }


def _item_id(identity: CompletionIdentity) -> str:
    return f"msg_{identity.completion_id}"


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _place(identity: CompletionIdentity) -> dict[str, Any]:
    return {"item_id": _item_id(identity), "output_index": 0, "content_index": 0}


_BEGIN = (
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
)


def _begin(identity: CompletionIdentity) -> Iterator[dict[str, Any]]:
    response = _response(identity, "in_progress")
    item = _item(identity, "in_progress", [])
    places: tuple[dict[str, Any], ...] = (
        {"response": response},
        {"response": response},
        {"output_index": 0, "item": item},
        {**_place(identity), "part": _part("")},
    )
    for kind, place in zip(_BEGIN, places, strict=True):
        yield {"type": kind, **place}


def _told(events: Sequence[Mapping[str, Any]], number: int) -> bytes:
    """Return events by name and number; clients put them in order by it."""
    return b"".join(
        event({**one, "sequence_number": number + place}, str(one["type"]))
        for place, one in enumerate(events)
    )
