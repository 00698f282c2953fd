"""From a request to the token ids that the engine gets. Owns the context's budget."""

from __future__ import annotations

import asyncio

from daybreak_model.fim import ComposedPrompt, PromptEncoder
from daybreak_serve.gateway.chat.prompts import ChatComposer
from daybreak_serve.gateway.http.requests import CompletionRequest
from daybreak_serve.model_metadata import ModelMetadata

INLINE_CHARACTERS = 20_000
"""Some 2 ms of encoding; longer texts go to a thread, so that they hold nobody else up. Only what has a place in the
context is encoded of them (`TextEncoder.encode_end`)."""


class PromptComposer:
    """Composes prompts for one model."""

    def __init__(self, tokenizer: str, metadata: ModelMetadata) -> None:
        self._encoder = PromptEncoder(tokenizer, metadata.fim, metadata.layout, metadata.openings)
        self._chat = ChatComposer(tokenizer, metadata.chat, metadata.context_length)
        self._context_length = metadata.context_length

    async def compose(self, request: CompletionRequest) -> ComposedPrompt:
        """Return the prompt of a request, cut to what the context leaves beside ``max_tokens``; no conversation is."""
        if request.messages:
            return await self._chat.compose(self._encoder.text, request.messages, request.options.max_tokens)
        others = sum(len(file.text) for file in request.around.files)
        if len(request.prompt) + len(request.suffix or "") + others > INLINE_CHARACTERS:
            return await asyncio.to_thread(self._compose, request)
        return self._compose(request)

    async def close(self) -> None:
        """End what was started for composing."""
        await self._chat.close()

    def _compose(self, request: CompletionRequest) -> ComposedPrompt:
        budget = self._context_length - request.options.max_tokens
        return self._encoder.compose(request.prompt, request.suffix, budget, request.around)
