"""Which path speaks which dialect."""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_serve.gateway.dialects.chat import ChatCompletions
from daybreak_serve.gateway.dialects.dialect import Dialect
from daybreak_serve.gateway.dialects.llamacpp import LlamaCpp
from daybreak_serve.gateway.dialects.mistral import MistralFim
from daybreak_serve.gateway.dialects.ollama import OllamaChat, OllamaGenerate
from daybreak_serve.gateway.dialects.openai import OpenAiCompletions
from daybreak_serve.gateway.dialects.tabby import TabbyCompletions, is_tabby
from daybreak_serve.gateway.dialects.textgen import TextGeneration
from daybreak_serve.gateway.http.requests import parse_object

OPENAI, TABBY = OpenAiCompletions(), TabbyCompletions()
CHAT, MISTRAL = ChatCompletions(), MistralFim()
ROUTES: Mapping[str, Dialect] = {
    "/v1/completions": OPENAI,
    "/v1/engines/{engine}/completions": OPENAI,
    "/v1/chat/completions": CHAT,
    "/chat/completions": CHAT,
    "/v1beta/chat/completions": CHAT,
    "/v1/fim/completions": MISTRAL,
    "/infill": LlamaCpp(infill=True),
    "/completion": LlamaCpp(infill=False),
    "/completions": LlamaCpp(infill=False),
    "/generate": TextGeneration(),
    "/generate_stream": TextGeneration(streams=True),
    "/api/generate": OllamaGenerate(),
    "/api/chat": OllamaChat(),
    "/": TextGeneration(listed=True),
    "/models/{name:path}": TextGeneration(listed=True),
}


def spoken(dialect: Dialect, body: bytes) -> Dialect:
    """Return the dialect of a body: Tabby's clients share a path with OpenAI's."""
    if dialect is OPENAI and b'"segments"' in body and is_tabby(parse_object(body)):
        return TABBY
    return dialect
