"""Prompts: fill-in-the-middle order, and what is cut when the context is too short.

The same prompt is composed wherever a model is asked: by the gateway for an editor, by the evaluation for a score.
Special tokens come from here alone: text that spells one is encoded as the text it is. Owns no limits of requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_model.repository_context import (
    ALONE,
    NO_SURROUNDINGS,
    FileMarks,
    Layout,
    Surroundings,
    in_front,
    path_line,
    room_in_front,
)
from daybreak_model.sentencepiece import opened
from daybreak_model.vocabulary import TextEncoder, special_ids

FimOrder = Literal["None", "PSM", "SPM"]
"""Order of a fill-in-the-middle prompt: prefix, suffix, middle, or the suffix first (Codestral, Seed-Coder); None: the
model never learned one.

Ours are trained on suffix-prefix-middle too (``spmShare``), because that makes them better at both; they are asked
in one order only, see docs/decisions/0031-one-prompt-order.md.
"""
MIN_PROMPT = 8
"""Tokens that every request leaves to its prompt: three special ones and a little text."""
NUM_MARKS = 3
"""Special tokens of a fill-in-the-middle prompt."""
SUFFIX_SHARE = 4
"""The suffix may take a quarter of the budget, the prefix the rest; what one leaves the other may use."""


@dataclass(frozen=True)
class ComposedPrompt:
    """Token ids of a prompt and how many tokens of the text found no place in it."""

    token_ids: tuple[int, ...]
    num_dropped: int
    """An estimate where a text is so long that only its end (or start) was encoded."""
    num_files: int = 0
    """Other files of the repository that stand in front."""


@dataclass(frozen=True)
class Openings:
    """What a model of another family wants at the front of a prompt."""

    begin: tuple[int, ...] = ()
    """Before every prompt; ours have nothing."""
    empty: int | None = None
    """Instead of a prompt without a token; None: the end-of-text token."""


PLAIN = Openings()


class PromptEncoder:
    """Composes prompts for one model: text in, token ids out."""

    def __init__(
        self, tokenizer_json: str, fim: FimOrder, layout: Layout = ALONE, openings: Openings = PLAIN
    ) -> None:
        """Take the text of a ``tokenizer.json``; one without the tokens that are needed is a UserError."""
        self._openings = openings
        self.marks = FileMarks.of(tokenizer_json) if layout == "Repository" else None
        self.text = TextEncoder(tokenizer_json)
        self._special = dict(fim_ids(tokenizer_json, fim))
        if openings.empty is not None:
            self._special[names.END_OF_TEXT] = openings.empty
        self._fim = fim

    def compose(
        self, prefix: str, suffix: str | None, budget: int, around: Surroundings = NO_SURROUNDINGS
    ) -> ComposedPrompt:
        """Return the prompt for text before and behind the cursor, of at most ``budget`` tokens.

        A model that was trained so gets the path and other files of the repository in front; another one does not.
        """
        begin = self._openings.begin
        found = self._composed(prefix, suffix, budget - len(begin), around)
        is_empty = found.token_ids == (self._special.get(names.END_OF_TEXT),) and not prefix
        return replace(found, token_ids=begin if is_empty and begin else (*begin, *found.token_ids))

    def _composed(self, prefix: str, suffix: str | None, budget: int, around: Surroundings) -> ComposedPrompt:
        if self.marks is not None and self.marks.is_path_in_prefix and (around.path or around.files):
            prefix = path_line(around.path or "") + prefix
        has_suffix = suffix is not None and self._fim != "None"
        behind, num_behind = self.text.encode_start(suffix or "", budget) if has_suffix else (None, 0)
        before, num_before = self.text.encode_end(opened(prefix, self.text.opening), budget)
        num_unread = num_before + num_behind
        if self.marks is None or around == NO_SURROUNDINGS:
            found = compose(before, behind, budget, self._fim, self._special)
            return replace(found, num_dropped=found.num_dropped + num_unread)
        num_own = len(before) + len(behind or ()) + NUM_MARKS
        room = min(room_in_front(budget, num_own), budget - MIN_PROMPT)
        front, num_left = in_front(
            self.text.encode,
            self.marks,
            around.files,
            around.path,
            repository=around.repository,
            room=room,
            longest_token=self.text.longest_token,
        )
        own = compose(before, behind, budget - len(front), self._fim, self._special)
        is_nothing = not before and behind is None and bool(front)
        token_ids = (*front, *(() if is_nothing else own.token_ids))
        return ComposedPrompt(token_ids, own.num_dropped + num_unread, len(around.files) - num_left)


def order_of(objective: str | None, special: Mapping[str, int], *, is_suffix_first: bool = False) -> FimOrder:
    """Return the order to ask a model in. A model that does not say how it was trained is believed to fill in
    if its tokenizer has the tokens; UL2's denoisers are not fill-in-the-middle.
    """
    if is_suffix_first and objective is None:
        return "SPM"
    has_tokens = all(name in special for name in (names.FIM_PREFIX, names.FIM_SUFFIX, names.FIM_MIDDLE))
    return "PSM" if has_tokens and objective in (None, "fillInTheMiddle") else "None"


def fim_ids(tokenizer_json: str, fim: FimOrder) -> Mapping[str, int]:
    """Return the ids of the special tokens; missing ones of a fill-in-the-middle prompt are a UserError."""
    found = special_ids(tokenizer_json)
    needed = (names.FIM_PREFIX, names.FIM_SUFFIX, *([names.FIM_MIDDLE] if fim == "PSM" else []))
    missing = [name for name in needed if name not in found]
    if fim != "None" and missing:
        raise UserError(f"the tokenizer has no token {missing[0]}, serve with fill-in-the-middle None")
    return found


def compose(
    prefix: Sequence[int],
    suffix: Sequence[int] | None,
    budget: int,
    fim: FimOrder,
    special: Mapping[str, int],
) -> ComposedPrompt:
    """Return a prompt of at most ``budget`` tokens: the end of the prefix and the start of the suffix are kept.

    An empty prompt becomes one end-of-text token, which is what stands before every document in training. A budget
    that has no room for the marks leaves the suffix out.
    """
    if suffix is None or fim == "None":
        kept = prefix[max(0, len(prefix) - budget) :]
        ids = tuple(kept) or (special[names.END_OF_TEXT],)
        return ComposedPrompt(ids, len(prefix) - len(kept))
    if budget < NUM_MARKS:
        left = compose(prefix, None, budget, fim, special)
        return ComposedPrompt(left.token_ids, left.num_dropped + len(suffix))
    num_prefix, num_suffix = split_budget(len(prefix), len(suffix), budget - NUM_MARKS)
    before, behind = prefix[len(prefix) - num_prefix :], suffix[:num_suffix]
    begin, end = special[names.FIM_PREFIX], special[names.FIM_SUFFIX]
    if fim == "SPM":  # Codestral has no mark behind the prefix
        last = [special[names.FIM_MIDDLE]] if names.FIM_MIDDLE in special else []
        ids = (end, *behind, begin, *before, *last)
    else:
        ids = (begin, *before, end, *behind, special[names.FIM_MIDDLE])
    return ComposedPrompt(ids, len(prefix) - num_prefix + len(suffix) - num_suffix)


def split_budget(num_prefix: int, num_suffix: int, budget: int) -> tuple[int, int]:
    """Return how many tokens of prefix and suffix are kept.

    >>> split_budget(100, 100, 40)
    (30, 10)
    >>> split_budget(10, 100, 40)
    (10, 30)
    >>> split_budget(100, 4, 40)
    (36, 4)
    """
    share = budget // SUFFIX_SHARE
    kept_suffix = min(num_suffix, max(share, budget - num_prefix))
    return min(num_prefix, budget - kept_suffix), kept_suffix
