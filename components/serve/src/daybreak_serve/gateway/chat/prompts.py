"""From a conversation to token ids: rendered by the model's template, its marks by their ids, all else as text.

What somebody writes in a message never becomes a mark of turns, files or prompts, though it spell one: it is hidden
from template and split, and comes back as the characters that it is. Owns the context's bound for conversations.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from daybreak_model import marks
from daybreak_model.fim import ComposedPrompt
from daybreak_model.vocabulary import TextEncoder
from daybreak_serve.gateway.chat.alternating import gentler, says_all
from daybreak_serve.gateway.chat.renderer import TemplateFailed, TemplateRefused, TemplateRenderer
from daybreak_serve.gateway.http.problems import ApiProblem, invalid
from daybreak_serve.gateway.http.requests import ChatMessage
from daybreak_serve.hubfolder import ChatTemplate

MIN_ANSWER = 64
"""Tokens that an answer must have a place for, if so many are asked: with fewer it would say nothing."""
CHARACTERS_A_TOKEN = 16
"""No text has more on average; a longer one cannot have a place and is not encoded."""
NEAREST = {"developer": "system", "function": "tool", "tool": "user"}
QUOTED = re.compile(r"['\"](\w+)['\"]")
HIDDEN = re.compile("\ue000([0-9]+)\ue001")
TAG = re.compile(r"</?[a-z_]+>")
"""Added tokens like ``</think>`` and ``<tool_call>``, which are parts of what a model says and no marks of turns."""
NO_TEMPLATE = (
    "the model has no chat template: ask it at /v1/completions, or serve one whose tokenizer_config.json has "
    "chat_template (models for instructions have)"
)


class ChatComposer:
    """Composes conversations for one model."""

    def __init__(self, tokenizer: str, chat: ChatTemplate | None, context_length: int) -> None:
        self._renderer = TemplateRenderer(chat.template, chat.tokens) if chat else None
        self._roles = frozenset(QUOTED.findall(chat.template)) if chat else frozenset()
        """Words in quotes of the template, the roles that it tells apart among them."""
        self._split = MarkSplit(json.loads(tokenizer).get("added_tokens", ()))
        self._context_length = context_length

    async def compose(
        self, encoder: TextEncoder, messages: Sequence[ChatMessage], max_tokens: int
    ) -> ComposedPrompt:
        """Return the prompt of a conversation; an `ApiProblem` says why there is none.

        The answer may have what it leaves of the context (`pool.prompts.fitted`), also where more was asked for.
        """
        max_tokens = min(max_tokens, MIN_ANSWER)
        text = await self._rendered(messages)
        if len(text) > CHARACTERS_A_TOKEN * self._context_length:
            raise self._too_long(f"{len(text)} characters", max_tokens)
        ids = await asyncio.to_thread(self.encoded, encoder, text)
        if len(ids) > self._context_length - max_tokens:
            raise self._too_long(f"{len(ids)} tokens", max_tokens)
        if not ids:
            raise invalid("the model's chat template makes nothing of these messages", "messages")
        return ComposedPrompt(tuple(ids), 0)

    async def ids_of(self, encoder: TextEncoder, messages: Sequence[ChatMessage]) -> list[int]:
        """Return all tokens of a conversation, whether or not they have a place."""
        return await asyncio.to_thread(self.encoded, encoder, await self._rendered(messages))

    async def text_of(self, messages: Sequence[ChatMessage]) -> str:
        """Return a conversation as the template writes it, marks in messages as they are spelled."""
        return self._split.shown(await self._rendered(messages))

    def encoded(self, encoder: TextEncoder, text: str) -> list[int]:
        """Return the tokens of a text, of the marks that it spells their ids."""
        return self._split.encoded(text, encoder.encode_behind_marks)

    async def _rendered(self, messages: Sequence[ChatMessage]) -> str:
        """Return a conversation with the model's turn begun, where it is asked so by what it has said of it already."""
        if self._renderer is None:
            raise invalid(NO_TEMPLATE, "messages")
        begun = messages[-1] if messages[-1].is_begun else None
        try:
            shown = [self._shown(message) for message in messages if message is not begun]
            text = await self._whole(self._renderer, shown)
            return text + self._split.hidden(begun.content) if begun else text
        except TemplateFailed as failed:
            raise invalid(
                f"the model's chat template takes no such messages: {failed}", "messages"
            ) from failed

    async def _whole(self, renderer: TemplateRenderer, messages: Sequence[Mapping[str, str]]) -> str:
        """Return what the template makes of a conversation.

        One that it refuses, or leaves a part of out without a word, is asked once more in its gentler forms.
        """
        refused, texts = None, list[str]()
        for form in (list(messages), *gentler(messages)):
            try:
                texts.append(await renderer.render(form))
            except TemplateRefused as failed:
                refused = refused or failed
                continue
            if says_all(form, texts[-1]):
                return texts[-1]
        if not texts and refused:
            raise refused
        return texts[0]

    def _shown(self, message: ChatMessage) -> dict[str, str]:
        """Return a message as the template sees it. Most leave messages of roles that they do not name out without a
        word: there who speaks is the nearest that all of them know.
        """
        role = message.role
        while role in NEAREST and role not in self._roles:
            role = NEAREST[role]
        return {"role": role, "content": self._split.hidden(message.content)}

    async def close(self) -> None:
        """End what renders."""
        if self._renderer is not None:
            await self._renderer.close()

    def _too_long(self, size: str, max_tokens: int) -> ApiProblem:
        return ApiProblem(
            400,
            f"the conversation has {size}; with {max_tokens} for the answer it must fit a context of "
            f"{self._context_length} tokens: leave out earlier messages",
            param="messages",
            code="context_length_exceeded",
        )


class MarkSplit:
    """A rendered conversation at the marks that the template wrote."""

    def __init__(self, added_tokens: Sequence[Mapping[str, Any]]) -> None:
        found = {str(entry["content"]): entry for entry in added_tokens}
        final = marks.final_ids(marks.added_ids(added_tokens))
        self._entries = {
            content: entry
            for content, entry in found.items()
            if not marks.is_plain(content, special=bool(entry.get("special")))
        }
        self._marks = _any_of(self._entries)
        self._guarded = sorted(
            content
            for content, entry in self._entries.items()
            if entry.get("special") or entry["id"] in final
        )
        self._guard = _any_of(self._guarded)
        self._numbers = {content: number for number, content in enumerate(self._guarded)}

    def hidden(self, text: str) -> str:
        """Return a text with each mark that rules a conversation or a prompt as a number that no template knows.

        Tags stay: templates look for them in what a model said.
        """
        return self._guard.sub(lambda match: f"\ue000{self._numbers[match[0]]}\ue001", text)

    def encoded(self, text: str, encode: Callable[[str, bool], list[int]]) -> list[int]:
        """Return the ids of a rendered text, what was hidden in it as text again.

        ``encode`` is told whether a piece is the first of the text.
        """
        ids: list[int] = []
        end = 0
        swallows = False
        for match in self._marks.finditer(text):
            entry = self._entries[match[0]]
            before = text[end : match.start()]
            before = before.rstrip() if entry.get("lstrip") else before
            ids += self._as_text(before.lstrip() if swallows else before, encode, end == 0)
            ids.append(int(entry["id"]))
            end, swallows = match.end(), bool(entry.get("rstrip"))
        rest = text[end:]
        return ids + self._as_text(rest.lstrip() if swallows else rest, encode, end == 0)

    def shown(self, text: str) -> str:
        """Return a text with what was hidden in it."""
        return HIDDEN.sub(self._spelled, text)

    def _as_text(self, piece: str, encode: Callable[[str, bool], list[int]], is_first: bool) -> list[int]:
        return encode(self.shown(piece), is_first) if piece else []

    def _spelled(self, match: re.Match[str]) -> str:
        number = int(match[1][:9])
        return self._guarded[number] if number < len(self._guarded) else match[0]


def _any_of(spelled: Iterable[str]) -> re.Pattern[str]:
    """Return what finds any of these, the longest first; of none it finds nothing."""
    pattern = "|".join(map(re.escape, sorted(spelled, key=len, reverse=True)))
    return re.compile(pattern or r"(?!)")
