"""OpenAI's ``/v1/chat/completions``: a conversation in, the model's next message out. Pure.

How the conversation becomes a prompt is the model's own template's (`gateway.chat`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from daybreak_serve.gateway.dialects import sampling
from daybreak_serve.gateway.dialects.dialect import CompletionChoice, Dialect, RequestHeaders
from daybreak_serve.gateway.dialects.misplaced import refuse_misplaced
from daybreak_serve.gateway.dialects.openai import DONE
from daybreak_serve.gateway.http.answers import EVENTS, CompletionIdentity, Usage, as_json, event
from daybreak_serve.gateway.http.problems import ApiProblem, invalid, renamed
from daybreak_serve.gateway.http.requests import (
    ChatMessage,
    CompletionRequest,
    RequestLimits,
    Text,
    WholeNumber,
    parse_object,
    problem_of,
    read,
)
from daybreak_serve.gateway.http.sentinels import decompose

MAX_MESSAGES = 256
MAX_ROLE = 64
COMPLETIONS_ALONE = (
    "prompt",
    "suffix",
    "echo",
    "context",
    "path",
    "repository",
    "completion",
)
"""Fields of ``/v1/completions`` that mean nothing in a conversation."""
TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call")
NO_TOOLS = "no tool is called here: tools and tool_choice are for a server that reads calls out of answers"
CONTINUATION = ("continue_final_message", "add_generation_prompt")
"""vLLM's way to have the model's own last message gone on with."""
CALLS_LEFT_OUT = "calls of tools in earlier messages are left out, what they told is not"
NO_JSON = "answers are not held to JSON here, ask for it in the messages"
FORMATS = (None, {"type": "text"})


TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}
"""Kinds of parts that are text, and where they have it."""
THOUGHTS = ("thinking", "reasoning", "redacted_thinking")
"""Kinds of parts that a model said to itself; no template wants them back."""


def _flattened(value: Any) -> Any:
    """Return the text of content that is sent in parts; what is no text stays and is refused."""
    if not isinstance(value, list):
        return value
    said = [part for part in value if not (isinstance(part, dict) and part.get("type") in THOUGHTS)]
    texts = [_text_of(part) for part in said]
    return value if None in texts else "\n".join(text for text in texts if text is not None)


def _text_of(part: Any) -> str | None:
    if isinstance(part, dict):
        part = part.get(TEXT_PARTS.get(str(part.get("type", "text")), ""))
    return part if isinstance(part, str) else None


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class ChatMessageBody(BaseModel):
    """One message, as it is sent. What it may hold besides (names) is not read, what it called is not told on."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    role: Annotated[Text, Field(min_length=1, max_length=MAX_ROLE)]
    content: Annotated[Text | None, BeforeValidator(_flattened)] = None
    tool_calls: Any = None
    prefix: Any = None
    """True: Mistral's and DeepSeek's way to have the last message gone on with."""

    @property
    def has_calls(self) -> bool:
        """Whether it called a tool."""
        return bool(self.tool_calls)


class ChatBody(BaseModel):
    """What a conversation's body has of its own; all else is as in ``/v1/completions``."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    messages: Annotated[
        tuple[ChatMessageBody, ...], Field(min_length=1, max_length=MAX_MESSAGES), BeforeValidator(_as_tuple)
    ]
    max_completion_tokens: Annotated[WholeNumber, Field(ge=1)] | None = None


CHAT_RULES: Mapping[str, str] = {
    "messages": f"a list of 1 to {MAX_MESSAGES} objects with role and content",
    "messages.role": f"a string of 1 to {MAX_ROLE} characters",
    "messages.content": "a string, or a list of {type: text, text} parts: this model reads no images or files",
    "max_completion_tokens": "an integer of at least 1",
}


class ChatCompletions(Dialect):
    """Conversations."""

    name = "chat"
    stream_type = EVENTS

    def read(self, body: bytes, headers: RequestHeaders, limits: RequestLimits) -> CompletionRequest:
        """Read a body. Without ``max_completion_tokens`` or ``max_tokens`` the answer may be as long as any."""
        return self.read_object(parse_object(body), headers, limits)

    def read_object(
        self, document: Mapping[str, Any], headers: RequestHeaders, limits: RequestLimits
    ) -> CompletionRequest:
        """Read a body's object, also one that another protocol's was brought into."""
        refuse_misplaced(document, ("messages",))
        try:
            found = ChatBody.model_validate(document)
        except ValidationError as error:
            raise problem_of(error, CHAT_RULES) from error
        refuse_what_an_answer_would_break(document)
        own = {
            *ChatBody.model_fields,
            *COMPLETIONS_ALONE,
            *TOOLS,
            "response_format",
            *CONTINUATION,
        } - {"max_completion_tokens"}
        rest = sampling.openai({name: value for name, value in document.items() if name not in own})
        composed = found.messages[-1].content or ""
        if found.messages[-1].role == "user" and headers.prompt != "text" and decompose(composed):
            # a gap in the words of a chat (QodeAssist with Qwen3-Coder): asked as what it is, whatever stands before it
            return read({"max_tokens": limits.max_tokens, **rest, "prompt": composed}, headers.file, limits)
        limits = replace(limits, max_tokens=max(limits.max_tokens, limits.max_answer_tokens))
        request = read({"max_tokens": limits.max_tokens, **rest}, headers.file, limits, "text")
        warnings = list(ignored({name: document.get(name) is not None for name in COMPLETIONS_ALONE}))
        if document.get("tools") or document.get("functions"):
            warnings.append(NO_TOOLS)
        if any(message.has_calls for message in found.messages):
            warnings.append(CALLS_LEFT_OUT)
        messages = tuple(ChatMessage(message.role, message.content or "") for message in found.messages)
        last, is_wanted = messages[-1], document.get("continue_final_message")
        if last.role == "assistant" and last.content and True in (found.messages[-1].prefix, is_wanted):
            messages = (*messages[:-1], replace(last, is_begun=True))
        return replace(request, messages=messages, warnings=(*request.warnings, *warnings))

    def whole(self, identity: CompletionIdentity, choices: Sequence[CompletionChoice], usage: Usage) -> bytes:
        """Return a ``chat.completion``."""
        found = [
            {
                "index": choice.index,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": None,
                "finish_reason": choice.finish_reason,
                "stop_reason": choice.stop,
            }
            for choice in choices
        ]
        return as_json(_object(identity, "chat.completion", found) | {"usage": usage.document()})

    def piece(self, identity: CompletionIdentity, choice: CompletionChoice, *, with_usage: bool) -> bytes:
        """Return one event; the first of a text says whose it is."""
        delta = {"role": "assistant"} if choice.is_first else {}
        found = {
            "index": choice.index,
            "delta": delta | ({"content": choice.text} if choice.text or choice.is_first else {}),
            "logprobs": None,
            "finish_reason": choice.finish_reason,
            "stop_reason": choice.stop,
        }
        document = _object(identity, "chat.completion.chunk", [found])
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
        last = _object(identity, "chat.completion.chunk", []) | {"usage": usage.document()}
        return (event(last) if with_usage else b"") + DONE

    def problem(self, problem: ApiProblem) -> bytes:
        """Return OpenAI's error object."""
        return problem.body()


def read_translated(
    document: Mapping[str, Any], headers: RequestHeaders, limits: RequestLimits, words: Mapping[str, str]
) -> CompletionRequest:
    """Read a conversation that another protocol's body was brought into; what is wrong is told in that one's words."""
    try:
        return ChatCompletions().read_object(document, headers, limits)
    except ApiProblem as problem:
        raise renamed(problem, words) from problem


def ignored(asks: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning of the fields that ask for what is not done here, if there are any."""
    names = [name for name, is_asked in asks.items() if is_asked]
    if names:
        yield f"ignored: {', '.join(names)}"


def refuse_what_an_answer_would_break(document: Mapping[str, Any]) -> None:
    """Refuse what a text cannot keep: a call that must be, an answer of a certain form.

    Tools that a model may call are another thing: one that calls none keeps to the protocol.
    """
    for name in ("tool_choice", "function_call"):
        if document.get(name) not in (None, "none", "auto"):
            raise invalid(f"{name} must be none or auto: {NO_TOOLS}", name)
    if document.get("response_format") not in FORMATS:
        raise invalid(
            f"response_format must be text: {NO_JSON}",
            "response_format",
        )


def _object(identity: CompletionIdentity, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": identity.completion_id,
        "object": kind,
        "created": identity.created,
        "model": identity.model,
        "choices": choices,
    }
    return document | ({"system_fingerprint": identity.fingerprint} if identity.fingerprint else {})
