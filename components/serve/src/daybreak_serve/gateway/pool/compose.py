"""Prompts: text to token ids, fill-in-the-middle order, and what is cut when the context is too short.

Special tokens come from here alone: text that spells one is encoded as the text it is. Pure. Owns no limits of
requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_serve.modelfolder import FillInTheMiddle, special_ids

MIN_PROMPT = 8
"""Tokens that every request leaves to its prompt: three special ones and a little text."""
SUFFIX_SHARE = 4
"""The suffix may take a quarter of the budget, the prefix the rest; what one leaves the other may use."""


@dataclass(frozen=True)
class ComposedPrompt:
    """Token ids of a prompt and how many tokens of the text found no place in it."""

    token_ids: tuple[int, ...]
    num_dropped: int


class TextEncoder:
    """Text to token ids without special tokens, whatever the text spells."""

    def __init__(self, tokenizer: str) -> None:
        """Take the text of a tokenizer.json."""
        from tokenizers import Tokenizer

        document = json.loads(tokenizer)
        document["added_tokens"] = []  # the only entries that the encoder looks for in raw text
        document["post_processor"] = None  # would add a begin-of-text token
        self._tokenizer = Tokenizer.from_str(json.dumps(document))

    def encode(self, text: str) -> list[int]:
        """Return token ids; releases the interpreter lock for long texts."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def fim_ids(tokenizer: str, fim: FillInTheMiddle) -> Mapping[str, int]:
    """Return the ids of the fill-in-the-middle tokens; missing ones are a UserError unless ``fim`` is None."""
    found = special_ids(tokenizer)
    missing = [name for name in (names.FIM_PREFIX, names.FIM_SUFFIX, names.FIM_MIDDLE) if name not in found]
    if fim != "None" and missing:
        raise UserError(f"the tokenizer has no token {missing[0]}, serve with fill-in-the-middle None")
    return found


def compose(
    prefix: Sequence[int],
    suffix: Sequence[int] | None,
    budget: int,
    fim: FillInTheMiddle,
    special: Mapping[str, int],
) -> ComposedPrompt:
    """Return a prompt of at most ``budget`` tokens: the end of the prefix and the start of the suffix are kept.

    PSM is prefix, suffix, middle; SPM is suffix, prefix, middle in the order StarCoder's trainer writes them
    (``<fim_prefix><fim_suffix>`` suffix ``<fim_middle>`` prefix). An empty prompt becomes one end-of-text token,
    which is what stands before every document in training.
    """
    if suffix is None or fim == "None":
        kept = prefix[max(0, len(prefix) - budget) :]
        ids = tuple(kept) or (special[names.END_OF_TEXT],)
        return ComposedPrompt(ids, len(prefix) - len(kept))
    num_prefix, num_suffix = split_budget(len(prefix), len(suffix), max(0, budget - 3))
    start, middle, end = prefix[len(prefix) - num_prefix :], special[names.FIM_MIDDLE], suffix[:num_suffix]
    if fim == "PSM":
        ids = (special[names.FIM_PREFIX], *start, special[names.FIM_SUFFIX], *end, middle)
    else:
        ids = (special[names.FIM_PREFIX], special[names.FIM_SUFFIX], *end, middle, *start)
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


def language_of(file: str | None, languages: Mapping[str, str]) -> str:
    """Return the language of a file name by its extension, ``unknown`` where there is none."""
    if file is None:
        return "unknown"
    return languages.get(Path(file).suffix.lower(), "unknown")


LANGUAGES: Mapping[str, str] = {
    ".py": "python",
    ".pyi": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".jsx": "javascript",
    ".ts": "typescript",
    ".tsx": "typescript",
    ".java": "java",
    ".go": "go",
    ".c": "c",
    ".h": "c",
    ".cc": "cpp",
    ".cpp": "cpp",
    ".cxx": "cpp",
    ".hpp": "cpp",
    ".hh": "cpp",
    ".rs": "rust",
}
"""Extensions of the languages that a run knows by name."""
