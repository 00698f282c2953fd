"""From a request to the token ids that the engine gets. Owns the tokenizer and the context's budget."""

from __future__ import annotations

import asyncio

from daybreak_serve.gateway.http.requests import CompletionRequest
from daybreak_serve.gateway.pool.compose import ComposedPrompt, TextEncoder, compose, fim_ids
from daybreak_serve.modelfolder import FillInTheMiddle

INLINE_CHARACTERS = 20_000
"""Some 2 ms of encoding; longer texts go to a thread, so that they hold nobody else up."""


class PromptComposer:
    """Composes prompts for one model."""

    def __init__(self, tokenizer: str, context_length: int, fim: FillInTheMiddle) -> None:
        self._encoder = TextEncoder(tokenizer)
        self._special = fim_ids(tokenizer, fim)
        self._context_length = context_length
        self._fim = fim

    async def compose(self, request: CompletionRequest) -> ComposedPrompt:
        """Return the prompt of a request, cut to what the context leaves beside ``max_tokens``."""
        if len(request.prompt) + len(request.suffix or "") > INLINE_CHARACTERS:
            return await asyncio.to_thread(self._compose, request)
        return self._compose(request)

    def _compose(self, request: CompletionRequest) -> ComposedPrompt:
        has_suffix = request.suffix is not None and self._fim != "None"
        return compose(
            self._encoder.encode(request.prompt),
            self._encoder.encode(request.suffix or "") if has_suffix else None,
            self._context_length - request.options.max_tokens,
            self._fim,
            self._special,
        )
