"""Bodies of questions about tokens, llama.cpp's and vLLM's at one path. Pure.

By llama.cpp's ``tools/server/README.md`` and vLLM's ``entrypoints/serve/tokenize/protocol.py``. Both read marks that a
text spells as the marks they are unless told otherwise; completions here do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daybreak_serve.gateway.dialects.chat import ChatCompletions
from daybreak_serve.gateway.dialects.dialect import RequestHeaders
from daybreak_serve.gateway.http.problems import invalid
from daybreak_serve.gateway.http.requests import CompletionRequest, RequestLimits, parse_object

AS_TEXT = RequestHeaders(prompt="text")


@dataclass(frozen=True)
class TokenizeBody:
    """What is to be encoded."""

    text: str
    talk: Mapping[str, Any] | None
    """A body with a conversation instead of a text."""
    with_begin: bool
    """The model's token before every prompt stands in front."""
    with_marks: bool
    with_pieces: bool
    with_strings: bool


def tokenize_body(body: bytes) -> TokenizeBody:
    """Return a body of ``/tokenize``: ``content`` is llama.cpp's text, ``prompt`` vLLM's."""
    document = parse_object(body)
    names = [name for name in ("content", "prompt", "messages") if document.get(name) is not None]
    if not names:
        raise invalid("content, prompt or messages must be given: a text, or a conversation", "content")
    name = names[0]
    if name == "messages":
        _refuse_other_ends(document)
    text = "" if name == "messages" else document[name]
    if not isinstance(text, str):
        raise invalid(f"{name} must be a string", name)
    return TokenizeBody(
        text=_whole(text, name),
        talk=document if name == "messages" else None,
        with_begin=_switch(document, "add_special", default=False)
        if name == "content"
        else _switch(document, "add_special_tokens", default=True),
        with_marks=_switch(document, "parse_special", default=True),
        with_pieces=_switch(document, "with_pieces", default=False),
        with_strings=_switch(document, "return_token_strs", default=False),
    )


def detokenize_body(body: bytes, vocabulary_size: int) -> list[int]:
    """Return the ids of a body of ``/detokenize``."""
    tokens = parse_object(body).get("tokens")
    wanted = f"tokens must be a list of integers between 0 and {vocabulary_size - 1}"
    if not isinstance(tokens, list) or any(not _is_id(token, vocabulary_size) for token in tokens):
        raise invalid(wanted, "tokens")
    return tokens


def template_body(body: bytes) -> Mapping[str, Any]:
    """Return a body of ``/apply-template``."""
    document = parse_object(body)
    _refuse_other_ends(document)
    return document


def conversation(document: Mapping[str, Any], limits: RequestLimits) -> CompletionRequest:
    """Return the conversation of a body as ``/v1/chat/completions`` reads it."""
    kept = {name: document.get(name) for name in ("messages", "continue_final_message")}
    return ChatCompletions().read_object(kept, AS_TEXT, limits)


def piece_of(data: bytes) -> str | list[int]:
    """Return what a token spells, its bytes where that is no whole character.

    >>> piece_of(b" a"), piece_of(bytes([195]))
    (' a', [195])
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        return list(data)


def _refuse_other_ends(document: Mapping[str, Any]) -> None:
    if document.get("add_generation_prompt") is False and not document.get("continue_final_message"):
        raise invalid(
            "add_generation_prompt must be true: a conversation is counted as it is asked here, with the model's "
            "turn begun",
            "add_generation_prompt",
        )


def _whole(text: str, name: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise invalid(f"{name} holds half a surrogate pair, send whole characters", name) from error
    return text


def _switch(document: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = document.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid(f"{name} must be true or false", name)
    return value


def _is_id(token: Any, vocabulary_size: int) -> bool:
    return isinstance(token, int) and not isinstance(token, bool) and 0 <= token < vocabulary_size
