"""Prompts that an editor has composed itself: the marks of the common model families, read back into prefix and suffix.

A model answers in its own marks, so a prompt with another family's has to be taken apart and composed anew
(`daybreak_model.fim`). Rule: a prompt is composed if it *begins* with a family's first mark and has the family's other
marks in its order, the last of them at the end (prefix, suffix, middle) or before the prefix (suffix first). All else
is text, as code that merely mentions a mark is. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from daybreak_model.repository_context import ContextFile


@dataclass(frozen=True)
class MarkFamily:
    """The three marks of a family, and those of its layout of whole repositories."""

    prefix: str
    suffix: str
    middle: str
    repository: str = ""
    file: str = ""


FAMILIES = (
    # StarCoder, StarCoder2, SantaCoder (with hyphens), Granite; what editors send to an unknown model
    MarkFamily("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<repo_name>", "<file_sep>"),
    MarkFamily("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    # ours, Qwen2.5-Coder, CodeGemma
    MarkFamily("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>"),
    MarkFamily("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "", "<|file_separator|>"),
    # DeepSeek-Coder, with full-width bars
    MarkFamily("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    # CodeLlama, with the blanks of its own template
    MarkFamily("<PRE> ", " <SUF>", " <MID>"),
    MarkFamily("<PRE>", "<SUF>", "<MID>"),
    # GLM, Stable Code and others
    MarkFamily("<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"),
)
SUFFIX_FIRST = (("[SUFFIX]", "[PREFIX]", ""), ("<[fim-suffix]>", "<[fim-prefix]>", "<[fim-middle]>"),
                ("<fim_suffix>", "<fim_prefix>", "<fim_middle>"))  # fmt: skip
"""Codestral, without a mark behind the prefix; Seed-Coder; Mellum."""


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
    """
    for first, second, last in SUFFIX_FIRST:
        if prompt.startswith(first):
            suffix, mark, prefix = prompt.removeprefix(first).partition(second)
            is_whole = bool(mark) and prefix.endswith(last)
            return ComposedText(prefix.removesuffix(last), suffix) if is_whole else None
    for family in FAMILIES:
        found = _of_family(prompt, family)
        if found is not None:
            return found
    return None


def _of_family(prompt: str, family: MarkFamily) -> ComposedText | None:
    if prompt.startswith(family.prefix):
        return _around(prompt, family)
    openings = tuple(filter(None, (family.repository, family.file)))
    if not openings or not prompt.startswith(openings):
        return None
    before, mark, rest = prompt.partition(family.prefix)
    own = _around(mark + rest, family) if mark else None
    if own is None:
        return None
    return _with_files(before, own, family)


def _around(text: str, family: MarkFamily) -> ComposedText | None:
    """Read prefix and suffix of a text that begins with the first mark.

    With several marks of one kind (code about marks) the last ones count: an editor writes its own last.
    """
    body = text.removeprefix(family.prefix)
    if body.startswith(family.suffix):  # suffix first, and the prefix runs on to the end
        suffix, mark, prefix = body.removeprefix(family.suffix).partition(family.middle)
        return ComposedText(prefix, suffix) if mark else None
    stripped = body.rstrip("\n") if family.middle.endswith(">") else body
    if not stripped.endswith(family.middle):
        return None
    inner = stripped.removesuffix(family.middle)
    prefix, mark, suffix = inner.rpartition(family.suffix)
    return ComposedText(prefix, suffix) if mark else None


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
