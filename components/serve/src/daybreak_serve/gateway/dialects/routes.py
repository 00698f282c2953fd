"""Which path speaks which dialect."""

from __future__ import annotations

from collections.abc import Mapping

from daybreak_serve.gateway.dialects.chat import ChatCompletions
from daybreak_serve.gateway.dialects.dialect import Dialect
from daybreak_serve.gateway.dialects.llamacpp import LLAMA_WORDS, LlamaCpp
from daybreak_serve.gateway.dialects.messages import AnthropicMessages
from daybreak_serve.gateway.dialects.mistral import MistralFim
from daybreak_serve.gateway.dialects.ollama import OllamaChat, OllamaGenerate
from daybreak_serve.gateway.dialects.openai import OpenAiCompletions
from daybreak_serve.gateway.dialects.responses import OpenAiResponses
from daybreak_serve.gateway.dialects.tabby import TabbyCompletions, is_tabby
from daybreak_serve.gateway.dialects.textgen import TextGeneration
from daybreak_serve.gateway.http.requests import parse_object

OPENAI, TABBY, SHARED = OpenAiCompletions(), TabbyCompletions(), OpenAiCompletions()
"""SHARED: of `/completions`, which is OpenAI's below a base URL without /v1 and an older name of llama.cpp's."""
CHAT, MISTRAL, LLAMA, INFILL = ChatCompletions(), MistralFim(), LlamaCpp(infill=False), LlamaCpp(infill=True)
OLLAMA, OLLAMA_CHAT = OllamaGenerate(), OllamaChat()
RESPONSES, MESSAGES = OpenAiResponses(), AnthropicMessages()
ROUTES: Mapping[str, Dialect] = {
    "/v1/completions": OPENAI,
    "/v1/engines/{engine}/completions": OPENAI,
    "/v1/chat/completions": CHAT,
    "/chat/completions": CHAT,
    "/v1/responses": RESPONSES,
    "/responses": RESPONSES,
    "/v1/messages": MESSAGES,
    "/v1/fim/completions": MISTRAL,
    "/fim/completions": MISTRAL,
    "/infill": INFILL,
    "/completion": LLAMA,
    "/completions": SHARED,
    "/generate": TextGeneration(),
    "/generate_stream": TextGeneration(streams=True),
    "/api/generate": OLLAMA,
    "/api/chat": OLLAMA_CHAT,
    "/": TextGeneration(listed=True),
    "/models/{name:path}": TextGeneration(listed=True),
}

BELOW: Mapping[str, Dialect] = {
    "/{base:path}/chat/completions": CHAT,
    "/{base:path}/responses": RESPONSES,
    "/{base:path}/messages": MESSAGES,
    "/{base:path}/fim/completions": MISTRAL,
    "/{base:path}/completions": OPENAI,
    "/{base:path}/completion": LLAMA,
    "/{base:path}/infill": INFILL,
    "/{base:path}/api/generate": OLLAMA,
    "/{base:path}/api/chat": OLLAMA_CHAT,
}
"""The same below any base: editors put these paths behind the URL that people paste (``/beta``, ``/v2``,
``/openai/deployments/NAME``, ``/v1/openai/v1``, twice ``/v1``), and no other thing here ends so."""

TOKEN_PATHS: Mapping[str, Dialect] = {
    "/tokenize": LLAMA,
    "/detokenize": LLAMA,
    "/apply-template": LLAMA,
    "/messages/count_tokens": MESSAGES,
    "/responses/input_tokens": RESPONSES,
}
"""Where questions about tokens are asked, also below any base, and in whose words they are refused."""


def spoken(dialect: Dialect, body: bytes) -> Dialect:
    """Return the dialect of a body: Tabby's clients share a path with OpenAI's, llama.cpp's another."""
    if dialect is SHARED:
        return LLAMA if any(name in body for name in LLAMA_WORDS) else OPENAI
    if dialect is OPENAI and b'"segments"' in body and is_tabby(parse_object(body)):
        return TABBY
    return dialect
