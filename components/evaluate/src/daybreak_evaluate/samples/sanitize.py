"""Takes code out of what a chat model answers: fences, prose, end marks, the prompt once more, lost indentation.

Owns what is tried, in which order; ``python_source`` says whether it is a program. The result goes behind the prompt.
What is a program already stays as it is, to the last byte. Pure, and decided by the text alone: no test is looked at.
"""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from daybreak_evaluate.samples import python_source

MAX_CHARACTERS = 200_000
"""Longer texts are left as they are: no answer to one problem is, and each look at one costs its length."""
MAX_STARTS = 40
"""Lines at which code could begin in a text of prose."""
INDENT = "    "
END_MARKS = re.compile(
    r"<\|(?:im_end|endoftext|call|start|channel|end_of_text|eot_id|eom_id|end|EOT|return|eos|assistant|user|system|fim_\w+|file_sep|"
    r"file_separator|repo_name)\|>|</?s>|<(?:end_of_turn|eos|pad|eot|EOT|filename|reponame|gh_stars|fim_\w+)>|"
    r"<｜(?:end▁of▁sentence|fim▁\w+|User|Assistant)｜>|\[/?INST\]|\[/PYTHON\]|\[DONE\]|</(?:answer|solution|code)>"
)
HEADS = re.compile(
    r"\A(?:\s*(?:<s>|<\|begin_of_text\|>|<｜begin▁of▁sentence｜>|<bos>|<start_of_turn>model\n?|"
    r"<\|im_start\|>(?:assistant)?\n?|<\|start_header_id\|>assistant<\|end_header_id\|>|<\|assistant\|>\n?|"
    r"<｜Assistant｜>|\[/INST\]))+"
)
THOUGHT = re.compile(
    r"\A.*(?:</think(?:ing)?>|<\|channel\|>final(?: <\|constrain\|>\w+)?<\|message\|>|\A(?:<s>)? ?\[INST\].*\[/INST\])",
    re.DOTALL,
)
"""What stands before the answer: thoughts, the other channels of OpenAI's open models, the question once more."""
BRACKETS = re.compile(r"\[/?PYTHON\]|</?(?:code|python|answer|solution)>|\\(?:begin|end)\{code\}")
"""Other signs than fences for where code begins and ends; they become fences."""
FENCE = re.compile(
    r"^(?P<indent>[ \t]*(?:>[ \t]?)*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<tag>[^\s`{]*)(?P<rest>[^`]*)$"
)
CODE_START = re.compile(r"^(?:from|import|def|async|class|@|[A-Za-z_]\w* *=)(?:\b|(?<==)| )")
NUMBERED = re.compile(r"^ *\d+(?:[|:.]? {1,2}|[|:.]?$|\t)")
"""The number of a line, where every line of a block has one."""
CODE_LINE = re.compile(rf"[ \t]|{CODE_START.pattern.removeprefix('^')}")
SPACES = str.maketrans(
    {"\N{NO-BREAK SPACE}": " ", "\N{ZERO WIDTH SPACE}": None, "\N{ZERO WIDTH NO-BREAK SPACE}": None}
)
ESCAPES = {"n": "\n", "t": "\t", '"': '"', "'": "'", "\\": "\\"}
JSON_ENDS = re.compile(r"""\A[\s"{]+(?=\S)|[\s"}]+\Z""")
"""What is left of a string in JSON when its quotes and braces were not taken off."""
ESCAPED = re.compile(r"\\([nt\"'\\])")
PYTHON_TAGS = {"", "python", "py", "python3", "python2", "py3", "ipython", "pycon", "code"}


@dataclass(frozen=True)
class CodeBlock:
    """A stretch of code between fences."""

    tag: str
    text: str


def sanitize(text: str, prompt: str, entry_point: str) -> str:
    """Return what to put behind the prompt of a Python problem; the text itself where nothing in it is code."""
    if len(text) > MAX_CHARACTERS or python_source.answers(prompt + text, entry_point):
        return text
    first = text
    for candidate in _candidates(text, prompt, entry_point):
        if python_source.answers(prompt + candidate, entry_point):
            if python_source.returns(prompt + candidate, entry_point):
                return candidate
            first = candidate if first is text else first
    return first


def _candidates(text: str, prompt: str, entry_point: str) -> Iterator[str]:
    """Yield completions, the likeliest first."""
    parts = [split_fences(plain) for plain in plain_texts(text)]
    for before, blocks in parts:
        codes = [*_from_blocks(blocks, prompt, entry_point), before]
        if CODE_LINE.match(before.lstrip("\n")):  # the fence that opens the answer stood in the prompt
            codes.insert(0, before)
        for code in codes:
            yield from _placed(code, prompt, entry_point)
    for code in dict.fromkeys(code for before, _ in parts for code in _from_prose(before)):
        yield from _placed(code, prompt, entry_point)


def plain_texts(text: str) -> Iterator[str]:
    """Yield the text without what a chat template and a thinking model leave in it; with its thoughts at the last."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(SPACES)
    without_thought = THOUGHT.sub("", text, count=1)
    once = _unescaped(without_thought)
    escaped = (once, _unescaped(once), _of_markdown(without_thought), html.unescape(without_thought))
    variants = [
        without_thought,
        text,
        *escaped,
        *(JSON_ENDS.sub("", one) for one in (without_thought, *escaped)),
    ]
    for one in dict.fromkeys(variants):
        opened = HEADS.sub("", one)
        fenced = BRACKETS.sub("\n```\n", opened)
        yield fenced if BRACKETS.search(_cut(opened)) else _cut(opened)
        yield _cut(fenced)


def _unescaped(text: str) -> str:
    """Return a text that was escaped once too often: its lines end with a backslash and an n."""
    if "\\n" not in text:
        return text
    return ESCAPED.sub(lambda found: ESCAPES[found[1]], text)


def _of_markdown(text: str) -> str:
    r"""Return a text without the backslashes that Markdown wants before an underscore: ``is\_prime``."""
    return re.sub(r"\\([_*\[\]#])", r"\1", text)


def _cut(text: str) -> str:
    """Return the text before the first end mark."""
    return END_MARKS.split(text, maxsplit=1)[0]


def split_fences(text: str) -> tuple[str, list[CodeBlock]]:
    """Return the text before the first fence, and the blocks between fences; an open one ends with the text."""
    before: list[str] = []
    blocks: list[CodeBlock] = []
    opened: re.Match[str] | None = None
    lines: list[str] = []
    for line in re.sub(r"(?<=[^\s`>~])(```|~~~)[ \t]*$", r"\n\1", text, flags=re.MULTILINE).split("\n"):
        found = FENCE.match(line)
        if opened is None and found is None and not blocks:
            before.append(line)
        elif opened is None and found is not None:
            opened, lines = found, _in_the_fences_line(found)
        elif opened is not None and found is not None and _closes(found, opened):
            blocks.append(_block(opened, lines))
            opened, lines = (found, _in_the_fences_line(found)) if found["tag"] else (None, [])
        elif opened is not None:
            lines.append(line)
    if opened is not None:
        blocks.append(_block(opened, lines))
    return "\n".join(before), blocks


def _in_the_fences_line(opened: re.Match[str]) -> list[str]:
    """Return the code that begins right behind the language's name; a title there is no code."""
    rest = opened["rest"].strip()
    return [rest] if CODE_START.match(rest) or rest.startswith("return ") else []


def _closes(found: re.Match[str], opened: re.Match[str]) -> bool:
    """A fence that names a language opens the next block, the one before was left open."""
    return found["fence"].startswith(opened["fence"])


def _block(opened: re.Match[str], lines: list[str]) -> CodeBlock:
    """Return a block without the indentation or the quotation marks that its fence stands behind."""
    margin = opened["indent"]
    if ">" in margin:
        lines = [re.sub(r"^[ \t]*(?:>[ \t]?)+", "", line) for line in lines]
    elif margin and all(line.startswith(margin) or not line.strip() for line in lines):
        lines = [line[len(margin) :] for line in lines]
    tag = opened["tag"].lower()
    if tag == "diff":
        tag, lines = "", [line[1:] for line in lines if line[:1] in ("+", " ") and line[:3] != "+++"]
    elif lines and all(NUMBERED.match(line) for line in lines if line.strip()):
        lines = [NUMBERED.sub("", line) for line in lines]
    return CodeBlock(tag, "\n".join(lines))


def _from_blocks(blocks: list[CodeBlock], prompt: str, entry_point: str) -> Iterator[str]:
    """Yield the code of blocks: the last that defines the function first, as an answer that corrects itself means it.

    Where it uses what another block defines, these come before it.
    """
    python = [block.text for block in blocks if block.tag in PYTHON_TAGS] or [block.text for block in blocks]
    definition = re.compile(rf"^\s*(?:async\s+)?def\s+{re.escape(entry_point)}\b", re.MULTILINE)
    defining = [number for number, text in enumerate(python) if definition.search(text)]
    for number in reversed(defining):
        wanted = python_source.unknown_names(python[number]) - python_source.defined_names(prompt)
        others = [
            text
            for place, text in enumerate(python)
            if place not in defining and wanted & python_source.defined_names(text)
        ]
        yield "\n\n".join([*others, python[number]])
    yield from (text for number, text in enumerate(python) if number not in defining)


def _from_prose(text: str) -> Iterator[str]:
    """Yield what begins at a line that looks like code, in a text without fences."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if CODE_START.match(line.lstrip())]
    starts += [number for number, line in enumerate(lines) if line.startswith(("    ", "\t"))]
    for start in list(dict.fromkeys(starts))[:MAX_STARTS]:
        yield "\n".join(lines[start:])
    yield from re.findall(r"`([^`\n]+)`", text)


def _placed(code: str, prompt: str, entry_point: str) -> Iterator[str]:
    """Yield ways to put code behind the prompt: as its rest, as a program of its own, indented anew."""
    code = code.strip("\n").rstrip()
    if not code:
        return
    flat = textwrap.dedent(code)
    for text in dict.fromkeys((code, flat)):
        if text.startswith(prompt.strip()):
            yield _longest(text[len(prompt.strip()) :], prompt)
    if re.search(rf"^(?:async )?def {re.escape(entry_point)}\b", flat, re.MULTILINE):
        flat = re.sub(r"^from __future__ import .*$", "", flat, flags=re.MULTILINE)
        whole = _longest(f"\n{flat}", prompt)
        yield python_source.without_tries(prompt + whole, entry_point).removeprefix(prompt)
        return
    ways = dict.fromkeys((code, INDENT + code.lstrip(), textwrap.indent(flat, INDENT), _later(code)))
    # the way that keeps most of it: a body without its indentation also begins with a line that fits
    yield from sorted((_longest(text, prompt) for text in ways), key=lambda text: -len(text.split()))


def _later(code: str) -> str:
    """Return code whose first line alone lost its indentation, however deep the others are."""
    first, newline, rest = code.partition("\n")
    return INDENT + first.strip() + newline + textwrap.indent(textwrap.dedent(rest), INDENT)


def _longest(code: str, prompt: str) -> str:
    """Return the beginning of the code that makes a program with the prompt."""
    found = python_source.longest(prompt + code, prompt.count("\n"))
    if not found.startswith(prompt):
        return ""
    return found[len(prompt) :].rstrip() + "\n"


def sanitize_program(text: str, prompt: str, entry_point: str) -> tuple[str, bool]:
    """Return what to judge of a chat answer with a whole program, and whether that is a program of its own."""
    if len(text) > MAX_CHARACTERS or python_source.answers(text, entry_point):
        return text, True
    found = sanitize(text, prompt, entry_point)
    return found, found == text and not python_source.answers(prompt + text, entry_point)
