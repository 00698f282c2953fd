"""From a request to the token ids that the engine gets. Owns the context's budget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from daybreak_model.fim import ComposedPrompt, PromptEncoder
from daybreak_model.vocabulary import token_bytes, token_spellings
from daybreak_serve.engine.protocol import GenerationOptions
from daybreak_serve.gateway.chat.prompts import ChatComposer
from daybreak_serve.gateway.http.requests import ChatMessage, CompletionRequest
from daybreak_serve.model_metadata import ModelMetadata

INLINE_CHARACTERS = 20_000
"""Some 2 ms of encoding; longer texts go to a thread, so that they hold nobody else up. Only what has a place in the
context is encoded of them (`TextEncoder.encode_end`)."""


def fitted(options: GenerationOptions, prompt: ComposedPrompt, metadata: ModelMetadata) -> GenerationOptions:
    """Return options whose tokens have a place behind a prompt: a conversation is not cut for what was asked."""
    room = metadata.context_length - len(prompt.token_ids)
    return options if options.max_tokens <= room else replace(options, max_tokens=room)


class PromptComposer:
    """Composes prompts for one model."""

    def __init__(self, tokenizer: str, metadata: ModelMetadata) -> None:
        self._encoder = PromptEncoder(tokenizer, metadata.fim, metadata.layout, metadata.openings)
        self._chat = ChatComposer(tokenizer, metadata.chat, metadata.context_length)
        self._context_length = metadata.context_length
        self._begin = metadata.begin_ids
        self._tokenizer = tokenizer

    async def compose(self, request: CompletionRequest) -> ComposedPrompt:
        """Return the prompt of a request, cut to what the context leaves beside ``max_tokens``; no conversation is."""
        if request.messages:
            return await self._chat.compose(self._encoder.text, request.messages, request.options.max_tokens)
        others = sum(len(file.text) for file in request.around.files)
        if len(request.prompt) + len(request.suffix or "") + others > INLINE_CHARACTERS:
            return await asyncio.to_thread(self._compose, request)
        return self._compose(request)

    async def ids_of_request(self, request: CompletionRequest) -> list[int]:
        """Return the tokens that a request is asked with; of a conversation all, also where they have no place."""
        if request.messages:
            return await self._chat.ids_of(self._encoder.text, request.messages)
        return list((await self.compose(request)).token_ids)

    async def ids_of_text(self, text: str, *, with_marks: bool, with_begin: bool) -> list[int]:
        """Return all tokens of a text; with marks, those that it spells are the marks, as in other servers."""
        ids = await asyncio.to_thread(self._encoded, text, with_marks)
        return [*(self._begin if with_begin else ()), *ids]

    async def text_of(self, messages: Sequence[ChatMessage]) -> str:
        """Return a conversation as the model's template writes it."""
        return await self._chat.text_of(messages)

    def bytes_of(self, ids: Sequence[int]) -> list[bytes]:
        """Return what tokens spell, marks their names."""
        table = self._bytes
        return [table[index] if index < len(table) else b"" for index in ids]

    def spelled(self, ids: Sequence[int]) -> list[str]:
        """Return tokens as the vocabulary has them."""
        table = self._spellings
        return [table.get(index, "") for index in ids]

    @cached_property
    def _bytes(self) -> tuple[bytes, ...]:
        return token_bytes(self._tokenizer, special_as_text=True)

    @cached_property
    def _spellings(self) -> dict[int, str]:
        return token_spellings(self._tokenizer)

    def _encoded(self, text: str, with_marks: bool) -> list[int]:
        encoder = self._encoder.text
        if with_marks:
            return self._chat.encoded(encoder, text)
        return encoder.encode_behind_marks(text, is_first=True)

    async def close(self) -> None:
        """End what was started for composing."""
        await self._chat.close()

    def _compose(self, request: CompletionRequest) -> ComposedPrompt:
        budget = self._context_length - request.options.max_tokens
        return self._encoder.compose(request.prompt, request.suffix, budget, request.around)
