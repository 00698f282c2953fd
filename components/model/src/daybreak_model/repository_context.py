"""Files of one repository one behind another, as training packs them and as a prompt puts them in front.

``<|repo_name|>NAME<|file_sep|>PATH\\nTEXT<|file_sep|>PATH\\nTEXT...<|endoftext|>``, as StarCoder2 (arXiv 2402.19173,
section 5.1). Name, path and text are encoded by themselves, so a file's tokens hang on nothing around it. Owns the
layout's order and words; which files come first is for who asks.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from daybreak_contracts import names
from daybreak_contracts.errors import UserError
from daybreak_model import marks
from daybreak_model.vocabulary import special_ids, token_bytes

Layout = Literal["File", "Repository"]
ALONE: Layout = "File"
LAYOUT_KEY = "daybreak_layout"
"""Key of ``config.json``: ``Repository`` where the model was trained so; absent means File."""
CONTEXT_SHARE = 2
"""Other files may take half of a prompt's budget, and what the text around the cursor leaves free."""


def layout_of(config: Mapping[str, Any]) -> Layout:
    """Return how a model of this ``config.json`` was trained."""
    return "Repository" if config.get(LAYOUT_KEY) == "Repository" else ALONE


@dataclass(frozen=True)
class ContextFile:
    """Another file of the repository."""

    path: str
    text: str


@dataclass(frozen=True)
class Surroundings:
    """What is known of the file that is written in."""

    files: tuple[ContextFile, ...] = ()
    """Others of its repository, the nearest last."""
    path: str | None = None
    """Its own."""
    repository: str | None = None


NO_SURROUNDINGS = Surroundings()


@dataclass(frozen=True)
class FileMarks:
    """Ids of the tokens that lay out a repository."""

    repository: int
    separator: int
    line_ends: frozenset[int]
    """Tokens that end with a line end: the first one behind a separator ends the path."""
    tail: str = ""
    """What stands behind the repository's name and each text; Qwen2.5-Coder has a line end there."""
    is_path_in_prefix: bool = False
    """StarCoder2 has the path of the file with the gap behind the mark of the prefix, not before it."""

    @classmethod
    def of(cls, tokenizer_json: str) -> FileMarks:
        """Look the ids up; a tokenizer without them is a UserError."""
        found = special_ids(tokenizer_json)
        missing = [name for name in (names.REPOSITORY_NAME, names.FILE_SEPARATOR) if name not in found]
        if missing:
            raise UserError(f"the tokenizer has no token {missing[0]}: data.layout Repository needs it")
        table = token_bytes(tokenizer_json, special_as_text=False)
        ends = frozenset(index for index, data in enumerate(table) if data.endswith(b"\n"))
        added = marks.added_ids(json.loads(tokenizer_json).get("added_tokens", ()))
        return cls(
            found[names.REPOSITORY_NAME],
            found[names.FILE_SEPARATOR],
            ends,
            tail="\n" if marks.is_of(marks.QWEN_FILES, added) else "",
            is_path_in_prefix=marks.is_of(marks.STARCODER2_FILES, added),
        )

    def opening(self, name: Sequence[int]) -> list[int]:
        """Return what begins a repository of this encoded name."""
        return [self.repository, *name]

    def file_opening(self, path: Sequence[int]) -> list[int]:
        """Return what stands before a file's text; ``path`` is an encoded ``path_line``."""
        return [self.separator, *path]

    def with_tail(self, text: str) -> str:
        """Return a name or text with what stands behind it."""
        return text if text.endswith(self.tail) else text + self.tail

    def own_opening(self, path: str, encode: Callable[[str], Sequence[int]]) -> list[int]:
        """Return what stands before the file that is written in; its path may be for the prefix."""
        return self.file_opening(() if self.is_path_in_prefix else encode(path_line(path)))

    def opening_length(self, ids: Sequence[int]) -> int:
        """Return how many of the tokens of a piece, cut before separators, stand before its text."""
        if not ids or ids[0] not in (self.separator, self.repository):
            return 0
        if ids[0] == self.repository:
            return len(ids)
        return next((place for place, token in enumerate(ids, 1) if token in self.line_ends), len(ids))


def one_line(name: str) -> str:
    """Return a name or path as it stands in the layout: on one line.

    >>> one_line("a\\nb/c.py")
    'a b/c.py'
    """
    return " ".join(name.splitlines())


def path_line(path: str) -> str:
    """Return the line that stands before a file's text."""
    return f"{one_line(path)}\n"


def in_front(
    encode: Callable[[str], Sequence[int]],
    marks: FileMarks,
    files: Sequence[ContextFile],
    path: str | None,
    *,
    repository: str | None,
    room: int,
    longest_token: int,
) -> tuple[list[int], int]:
    """Return what stands before the text of the current file in at most ``room`` tokens, and how many files do not.

    The last files are nearest and are kept first, each of them whole; the path of the current file goes before all.
    No token has more than ``longest_token`` bytes.
    """
    own = marks.own_opening(path or "", encode) if path or files else []
    if len(own) > room:
        return [], len(files)
    left, kept = room - len(own), []
    for file in reversed(files):
        if len(file.text) > left * longest_token:  # it cannot fit: not worth seconds of encoding
            break
        ids = [*marks.file_opening(encode(path_line(file.path))), *encode(marks.with_tail(file.text))]
        if len(ids) > left:
            break
        left -= len(ids)
        kept.append(ids)
    opening = marks.opening(encode(marks.with_tail(one_line(repository)))) if repository else []
    ids = opening if len(opening) <= left else []
    return [*ids, *(token for file in reversed(kept) for token in file), *own], len(files) - len(kept)


def room_in_front(budget: int, num_own: int) -> int:
    """Return how many tokens of a budget other files may take beside ``num_own`` around the cursor.

    >>> room_in_front(100, 10), room_in_front(100, 80)
    (90, 50)
    """
    return max(budget // CONTEXT_SHARE, budget - num_own)


def files_of(ids: Sequence[int], marks: FileMarks) -> list[tuple[list[int], list[int]]]:
    """Return what stands before each file's text, and the text, of one stretch without end-of-text."""
    starts = [place for place, token in enumerate(ids) if token in (marks.separator, marks.repository)]
    bounds = [0, *(place for place in starts if place), len(ids)]
    found = []
    for start, end in itertools.pairwise(bounds):
        piece = list(ids[start:end])
        length = marks.opening_length(piece)
        found.append((piece[:length], piece[length:]))
    return found
