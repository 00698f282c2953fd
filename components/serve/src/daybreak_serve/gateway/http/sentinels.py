"""Prompts that an editor has composed itself: the marks of the common model families, read back into prefix and suffix.

A model answers in its own marks, so a prompt with another family's has to be taken apart and composed anew
(`daybreak_model.fim`). Rule: a prompt is composed if it *begins* with a family's first mark, or with one line, other
files or a turn before it, has the family's other marks in the order of prefix or of suffix first, and ends with the
last of them or with the prefix. All else is text, as code that merely mentions a mark is. The marks are
`daybreak_model.marks`' own. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from daybreak_model import marks
from daybreak_model.marks import FimFamily
from daybreak_model.repository_context import ContextFile

PIECE_BLANK = "▁"
PATH_LINE = re.compile(r"\W*(?:Path|File|File Path|file)\s*:\s*(\S[^\n]*?)\s*(?:\*/|-->)?\s*")
"""A comment that names the file, before or behind the first mark (Cody, CopilotForXcode)."""
TURN = re.compile(r"<\|user\|>\n(.*?)(<\|code_(?:suffix|prefix)\|>.*)<\|assistant\|>\n?", re.DOTALL)
"""CodeGeeX4 is asked inside a chat's turn."""
REFERENCE = re.compile(r"(?:###REFERENCE:\n)?###PATH:\s*([^\n]*)\n")


@dataclass(frozen=True)
class MarkFamily:
    """The marks of a family as text has them."""

    prefix: str
    suffix: str
    middle: str
    repository: str = ""
    file: str = ""

    @classmethod
    def of(cls, family: FimFamily) -> MarkFamily:
        """Return a family's marks: what SentencePiece spells with a blank at the front stands without it here."""
        prefix, suffix, middle = (
            mark.removeprefix(PIECE_BLANK) for mark in (family.prefix, family.suffix, family.middle)
        )
        return cls(prefix, suffix, middle, family.repository, family.file)

    @property
    def is_blank_padded(self) -> bool:
        """Whether its template has a blank beside marks: CodeLlama's, ``<PRE> a <SUF>b <MID>``."""
        return self.prefix == "<PRE>"


FAMILIES = tuple(dict.fromkeys(MarkFamily.of(family) for family in marks.FIM_FAMILIES))


@dataclass(frozen=True)
class ComposedText:
    """What stands in a composed prompt."""

    prefix: str
    suffix: str
    path: str | None = None
    repository: str | None = None
    files: tuple[ContextFile, ...] = ()


def decompose(prompt: str) -> ComposedText | None:
    """Return what a composed prompt holds, None for text.

    >>> decompose("<PRE> a = <SUF>\\n <MID>")
    ComposedText(prefix='a =', suffix='\\n', path=None, repository=None, files=())
    >>> decompose("<[fim-prefix]>a<[fim-suffix]>b<[fim-middle]>") == decompose(
    ...     "<[fim-suffix]>b<[fim-prefix]>a<[fim-middle]>"
    ... )
    True
    """
    turn = TURN.fullmatch(prompt)
    if turn is not None:
        own = _first(turn[2], FAMILIES)
        return None if own is None else _with_references(turn[1], own)
    found = _first(prompt, FAMILIES)
    if found is None:
        line, _, rest = prompt.partition("\n")
        path = PATH_LINE.fullmatch(line)
        found = _first(rest, FAMILIES) if path is not None else None
        return None if found is None or path is None else replace(found, path=found.path or path[1])
    return found


def _first(prompt: str, families: tuple[MarkFamily, ...]) -> ComposedText | None:
    return next((found for family in families for found in _of_family(prompt, family)), None)


def _of_family(prompt: str, family: MarkFamily) -> Iterator[ComposedText]:
    """Yield what a prompt is in a family's marks, nothing if it is none of its."""
    if prompt.startswith((family.prefix, family.suffix)):
        own = _around(prompt, family)
        if own is not None:
            yield _without_own_files(own, family)
        return
    openings = tuple(filter(None, (family.repository, family.file)))
    if not openings or not prompt.startswith(openings):
        return
    starts = [prompt.find(mark) for mark in (family.prefix, family.suffix) if mark in prompt]
    if not starts:
        return
    own = _around(prompt[min(starts) :], family)
    if own is not None:
        yield _with_files(prompt[: min(starts)], own, family)


def _around(text: str, family: MarkFamily) -> ComposedText | None:
    """Read prefix and suffix of a text that begins with a mark.

    With several marks of one kind (code about marks) the last ones count: an editor writes its own last.
    """
    if text.startswith(family.suffix):
        return _suffix_first(text.removeprefix(family.suffix), family)
    body = text.removeprefix(family.prefix)
    if body.lstrip(" ").startswith(family.suffix):  # suffix first, and the prefix runs on to the end
        rest = body.lstrip(" ").removeprefix(family.suffix)
        suffix, mark, prefix = rest.partition(family.middle) if family.middle else (rest, "", "")
        if mark and prefix.strip("\n"):
            return _unpadded(ComposedText(prefix, suffix), family)
    if not family.middle:
        return None
    stripped = body.rstrip("\n") if family.middle.endswith(">") else body
    if not stripped.endswith(family.middle):
        return None
    prefix, mark, suffix = stripped.removesuffix(family.middle).rpartition(family.suffix)
    return _unpadded(ComposedText(prefix, suffix), family) if mark else None


def _suffix_first(text: str, family: MarkFamily) -> ComposedText | None:
    """Read what stands behind the mark of a suffix that comes first."""
    suffix, mark, prefix = text.partition(family.prefix)
    stripped = prefix.rstrip("\n") if family.middle else prefix
    if not mark or not stripped.endswith(family.middle):
        return None
    return _unpadded(ComposedText(stripped.removesuffix(family.middle), suffix), family)


def _unpadded(found: ComposedText, family: MarkFamily) -> ComposedText:
    """Take the template's blanks away: one behind the prefix's mark, and one before each other mark."""
    if not family.is_blank_padded:
        return found
    prefix = found.prefix.removeprefix(" ").removesuffix(" ")
    return replace(found, prefix=prefix, suffix=found.suffix.removesuffix(" "))


def _with_files(before: str, own: ComposedText, family: MarkFamily) -> ComposedText:
    """Read the other files that stand before the first mark, each behind a mark, its path on its first line."""
    repository = None
    head, *pieces = before.split(family.file) if family.file else [before]
    if family.repository and head.startswith(family.repository):
        repository = head.removeprefix(family.repository).strip("\n") or None
    files = [ContextFile(path.strip(), text) for path, _, text in (piece.partition("\n") for piece in pieces)]
    path = None
    if files and not files[-1].text.strip("\n"):  # the current file's own path, right before its prefix
        path = files.pop().path or None
    return ComposedText(own.prefix, own.suffix, path, repository, tuple(files))


def _without_own_files(own: ComposedText, family: MarkFamily) -> ComposedText:
    """Read the files that suffix-first families have at the start of the prefix, the file's own the last of them."""
    if not family.file or not own.prefix.startswith(family.file):
        return own
    pieces = own.prefix.removeprefix(family.file).split(f"\n{family.file}")
    files = [ContextFile(path.strip(), text) for path, _, text in (piece.partition("\n") for piece in pieces)]
    last = files.pop()
    return replace(own, prefix=last.text, path=last.path or None, files=tuple(files))


def _with_references(before: str, own: ComposedText) -> ComposedText:
    """Read CodeGeeX4's head: other files, then path, language and mode of this one."""
    before = before.partition("###LANGUAGE:")[0]
    found = list(REFERENCE.finditer(before))
    ends = [*(match.start() for match in found[1:]), len(before)]
    files = [
        ContextFile(match[1].strip(), before[match.end() : end])
        for match, end in zip(found, ends, strict=True)
    ]
    path = files.pop().path if files else ""
    return replace(own, path=path or None, files=tuple(files))
