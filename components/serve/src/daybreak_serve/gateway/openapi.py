"""``/openapi.json``: what this gateway takes and answers, made from the models that requests are read by.

Owns the document's frame only. Other clients' dialects have their own documentation; they are listed by path.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from daybreak_serve.gateway.dialects.chat import CHAT_RULES, ChatBody
from daybreak_serve.gateway.dialects.routes import CHAT, OPENAI, ROUTES
from daybreak_serve.gateway.events.journal import EventBatch, SuggestionEvent
from daybreak_serve.gateway.http.requests import RULES, CompletionBody

REFERENCE = "#/components/schemas/{model}"
PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
COMPLETION: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices"],
    "properties": {
        "id": {"type": "string"},
        "object": {"const": "text_completion"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "system_fingerprint": {"type": "string"},
        "choices": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["text", "index", "finish_reason"],
                "properties": {
                    "text": {"type": "string"},
                    "index": {"type": "integer"},
                    "logprobs": {"type": "null"},
                    "finish_reason": {"enum": ["stop", "length", "cancelled", None]},
                    "stop_reason": {"type": ["string", "null"]},
                },
            },
        },
        "usage": {"type": "object"},
    },
}
CHAT_COMPLETION: Mapping[str, Any] = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices"],
    "properties": {
        **COMPLETION["properties"],
        "object": {"const": "chat.completion"},
        "choices": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["message", "index", "finish_reason"],
                "properties": {
                    "index": {"type": "integer"},
                    "message": {
                        "type": "object",
                        "required": ["role", "content"],
                        "properties": {"role": {"const": "assistant"}, "content": {"type": "string"}},
                    },
                    "finish_reason": {"enum": ["stop", "length", "cancelled", None]},
                    "stop_reason": {"type": ["string", "null"]},
                },
            },
        },
    },
}
TEXT: Mapping[str, Any] = {"type": "string"}
NUMBER: Mapping[str, Any] = {"type": "integer"}
BLOCKS: Mapping[str, Any] = {"anyOf": [TEXT, {"type": "array", "items": {"type": "object"}}]}
MESSAGES_PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "required": ["type", "error"],
    "properties": {
        "type": {"const": "error"},
        "error": {
            "type": "object",
            "required": ["type", "message"],
            "properties": {"type": TEXT, "message": TEXT},
        },
    },
}
"""Anthropic's form."""
NAMED_PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "object", "required": ["type", "message"]}},
}
"""OpenAI's and llama.cpp's form, which differ in ``code``."""
ELSEWHERE: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "/v1/responses": (
        "Answer a conversation in OpenAI's newer words",
        {"input": BLOCKS, "instructions": TEXT, "max_output_tokens": NUMBER},
        {
            "id": TEXT,
            "object": {"const": "response"},
            "status": TEXT,
            "output": {"type": "array"},
            "model": TEXT,
        },
    ),
    "/v1/messages": (
        "Answer a conversation in Anthropic's words",
        {"messages": {"type": "array", "items": {"type": "object"}}, "system": BLOCKS, "max_tokens": NUMBER},
        {"id": TEXT, "type": {"const": "message"}, "content": {"type": "array"}, "stop_reason": TEXT},
    ),
    "/v1/messages/count_tokens": (
        "Count the tokens of such a conversation",
        {"messages": {"type": "array", "items": {"type": "object"}}, "system": BLOCKS},
        {"input_tokens": NUMBER},
    ),
    "/v1/responses/input_tokens": (
        "Count the tokens of such a conversation",
        {"input": BLOCKS, "instructions": TEXT},
        {"input_tokens": NUMBER},
    ),
    "/tokenize": (
        "Turn a text into tokens, in llama.cpp's or vLLM's words",
        {"content": TEXT, "prompt": TEXT, "messages": {"type": "array", "items": {"type": "object"}}},
        {"tokens": {"type": "array"}, "count": NUMBER, "max_model_len": NUMBER},
    ),
    "/detokenize": (
        "Turn tokens into a text",
        {"tokens": {"type": "array", "items": NUMBER}},
        {"content": TEXT, "prompt": TEXT},
    ),
    "/apply-template": (
        "Show a conversation as the model's template writes it",
        {"messages": {"type": "array", "items": {"type": "object"}}},
        {"prompt": TEXT},
    ),
}
"""Paths of other protocols: what they do, the fields that matter, and what an answer always has."""
IN_CHATS = (
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "user",
    "n",
)
"""Fields that conversations share with completions."""
PROBLEMS: Mapping[int, str] = {
    400: "a field is wrong; it is named",
    401: "no API key that holds",
    403: "a foreign web page or host name",
    404: "no such thing",
    408: "the body did not come",
    413: "the body is too large",
    429: "no place in an engine; Retry-After says when",
    499: "given up for a newer request",
    500: "the engine failed",
    503: "no engine; Retry-After says when",
}


@functools.cache
def text() -> bytes:
    """Return the document as JSON; it is the same for the life of a process."""
    return json.dumps(document()).encode()


def document() -> dict[str, Any]:
    """Return the document (OpenAPI 3.1)."""
    schemas = {
        "Problem": dict(PROBLEM),
        "Completion": dict(COMPLETION),
        "ChatCompletion": dict(CHAT_COMPLETION),
    }
    for model in (CompletionBody, ChatBody, SuggestionEvent, EventBatch):
        schema = model.model_json_schema(ref_template=REFERENCE)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    schemas["CompletionBody"] = _described(schemas["CompletionBody"])
    schemas["ChatBody"] = _conversation(schemas["ChatBody"], schemas["CompletionBody"])
    event = {"oneOf": [_ref("SuggestionEvent"), _ref("EventBatch")]}
    completions = _post("Complete code", _ref("CompletionBody"), _ref("Completion"))
    chats = _post("Answer a conversation", _ref("ChatBody"), _ref("ChatCompletion"))
    for one in (completions, chats):
        one["responses"]["200"]["content"]["text/event-stream"] = {}
    paths: dict[str, Any] = {
        "/v1/completions": {"post": completions},
        "/v1/chat/completions": {"post": chats},
        "/v1/events": {"post": _post("Tell what became of a completion", event, {"type": "object"})},
        "/v1/models": {"get": _get("The one model")},
        "/v1/models/{name}": {
            "get": {
                **_get("The one model by its name"),
                "parameters": [
                    {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
            }
        },
        "/healthz": {"get": _get("Whether the process answers")},
        "/readyz": {"get": _get("Whether requests can be answered")},
    }
    paths |= {path: {"post": _elsewhere(path)} for path in ELSEWHERE}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Daybreak gateway", "version": "1", "description": _others()},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def _others() -> str:
    paths = ", ".join(
        f"{path} ({dialect.name})"
        for path, dialect in ROUTES.items()
        if dialect not in (OPENAI, CHAT) and path not in ELSEWHERE
    )
    return f"Completions and conversations in the words of other servers: {paths}. See docs/editors.md."


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a request with each field's rule; ``prompt`` and ``stop`` may be one text."""
    properties = {
        name: {**field, "description": RULES.get(name, "")} for name, field in schema["properties"].items()
    }
    for name in ("prompt", "stop"):
        properties[name] = {
            "description": RULES[name],
            "anyOf": [
                {"type": "string", **({"minLength": 1} if name == "stop" else {})},
                *_choices(properties[name]),
            ],
        }
    return {**schema, "properties": properties}


def _conversation(schema: dict[str, Any], completion: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a conversation with each field's rule, and the fields that it shares with completions."""
    own = {name: {**field, "description": CHAT_RULES[name]} for name, field in schema["properties"].items()}
    shared = {name: completion["properties"][name] for name in IN_CHATS}
    return {**schema, "properties": {**own, **shared}}


def _choices(field: Mapping[str, Any]) -> list[Any]:
    if "anyOf" in field:
        return list(field["anyOf"])
    return [{name: value for name, value in field.items() if name not in ("description", "default", "title")}]


def _ref(name: str) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=name)}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": dict(schema)}}


def _problems() -> dict[str, Any]:
    return {
        str(status): {"description": said, "content": _json(_ref("Problem"))}
        for status, said in PROBLEMS.items()
    }


def _post(summary: str, body: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    answers = {"200": {"description": "done", "content": _json(answer)}, **_problems()}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": _json(body)},
        "responses": answers,
    }


def _elsewhere(path: str) -> dict[str, Any]:
    """Return what is asked at a path of another protocol; its problems have that protocol's form."""
    summary, fields, answer = ELSEWHERE[path]
    body = {"type": "object", "properties": dict(fields)}
    found = _post(summary, body, {"type": "object", "required": list(answer), "properties": dict(answer)})
    problem = MESSAGES_PROBLEM if "messages" in path else NAMED_PROBLEM
    for status in PROBLEMS:
        found["responses"][str(status)]["content"] = _json(problem)
    if path in ROUTES:
        found["responses"]["200"]["content"]["text/event-stream"] = {}
    return found


def _get(summary: str) -> dict[str, Any]:
    answers = {"200": {"description": "done", "content": _json({"type": "object"})}, **_problems()}
    return {"summary": summary, "responses": answers}
