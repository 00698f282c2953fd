"""Takes code out of what a chat model answers in languages other than Python, where no parser says what is a program.

Owns the rules: which block, what of it the prompt holds already, where it ends. Told by words, braces and ``end``; what
bears no sign of a chat stays as it is, to the last byte. Pure.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from daybreak_evaluate.samples.sanitize import CodeBlock, plain_texts, split_fences
from daybreak_evaluate.task import Task

TAGS = {
    "cpp": {"cpp", "c++", "cc", "cxx", "c"},
    "csharp": {"csharp", "c#", "cs"},
    "go": {"go", "golang"},
    "html": {"html", "htm", "html5", "css", "xml"},
    "java": {"java"},
    "javascript": {"javascript", "js", "node", "jsx", "mjs"},
    "lua": {"lua"},
    "php": {"php"},
    "ruby": {"ruby", "rb"},
    "rust": {"rust", "rs"},
    "shell": {"bash", "sh", "shell", "zsh", "console"},
    "typescript": {"typescript", "ts", "tsx"},
}
"""Names of languages behind a fence; a language that is not here takes its own."""
WORD_ENDED = frozenset({"lua", "ruby"})
_NAME = r"([A-Za-z_$][\w$]*[?!]?)"
_OPENERS = {
    "go": rf"^func\s+(?:\([^)]*\)\s*)?{_NAME}\s*[(\[]",
    "rust": rf"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:const\s+|async\s+|unsafe\s+)*fn\s+{_NAME}",
    "javascript": rf"^\s*(?:export\s+(?:default\s+)?)?(?:(?:async\s+)?function\s*\*?\s*{_NAME}|"
    rf"(?:const|let|var)\s+{_NAME}\s*=)",
    "ruby": rf"^\s*def\s+(?:self\.)?{_NAME}",
    "lua": rf"^\s*(?:local\s+)?(?:function\s+{_NAME}|{_NAME}\s*=\s*function\b)",
    "php": rf"^\s*(?:(?:public|private|protected|static)\s+)*function\s+&?{_NAME}\s*\(",
    "shell": rf"^\s*(?:function\s+{_NAME}|{_NAME}\s*\(\s*\))",
}
_OPENERS["typescript"] = _OPENERS["javascript"]
_C_LIKE = (
    r"^[ \t]*(?!(?:return|else|new|throw|if|for|while|switch|case)\b)[A-Za-z_][\w:<>,.\[\]&* \t?]*?"
    rf"[ \t&*>\]]{_NAME}[ \t]*\((?=[^;{{}}]*\{{)"
)
_PROSE = re.compile(r"^(?:\*\*|#{1,4} |[-*] |\d+\. )?[A-Z][\w'’,-]*(?: [^\s;{}]+){2,}[.:!?]?(?:\*\*)?$")
_TOKENS = re.compile(
    r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n]){1,4}'|`(?:\\.|[^`\\])*`|//[^\n]*|/\*.*?\*/|[{}]", re.DOTALL
)
_STRINGS = re.compile(r"\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|(?<![$\w{])#[^\n]*|[{}]")
_FRAME_OF_CLASSES = re.compile(
    r"(?:public |final |static )*(?:class|namespace) \w+|(?:import|using)\s|\{$|/\*\*?|\*|//"
)
_MAIN = re.compile(r"^(?:int|auto|void)\s+main\s*\([^)]*\)\s*\{", re.MULTILINE)


@dataclass(frozen=True)
class AnswerShape:
    """What an answer must fit."""

    language: str
    head: str
    """Everything before the answer."""
    name: str
    """The function whose body the answer is; empty where the prompt begins none."""
    closed_by_test: int
    """Braces that the test closes itself."""


def code_of(text: str, task: Task) -> str:
    """Return what to put behind the prompt; the text itself where it bears no sign of a chat."""
    head = task.preamble + task.prompt
    shape = AnswerShape(task.language, head, _name(task, head), max(0, -_depth(task.test, task.language)))
    plain = next(iter(plain_texts(text)))
    before, blocks = split_fences(plain)
    stands_first = not blocks or (_is_code(before, shape) and not any(block.tag for block in blocks))
    code = _without_prose(before) if stands_first else _chosen(blocks, shape)
    if not code.strip():
        return text
    is_chat = bool(blocks) or plain != text.replace("\r\n", "\n") or code != before
    repeats = (bool(shape.name) and bool(_declaration(code, shape))) or _holds_head(code, shape)
    if not is_chat and not repeats:
        return text
    return _fitted(code, shape)


def _is_code(before: str, shape: AnswerShape) -> bool:
    """Tell whether the text before a lone fence is the answer: the fence that opens it stood in the prompt."""
    first = next((line for line in before.split("\n") if line.strip()), "")
    return first.startswith((" ", "\t")) or bool(shape.name and _declaration(before, shape))


def _name(task: Task, head: str) -> str:
    if task.entry_point:
        return task.entry_point
    names = [name for name, _ in _declared(head, task.language)]
    return names[-1] if names else ""


def _declared(code: str, language: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield the functions that a text declares, by name."""
    for found in re.finditer(_OPENERS.get(language, _C_LIKE), code, re.MULTILINE):
        name = next((each for each in found.groups() if each), "")
        if name:
            yield name, found


def _declaration(code: str, shape: AnswerShape) -> re.Match[str] | None:
    found = [match for name, match in _declared(code, shape.language) if name == shape.name]
    return found[-1] if found else None


def _chosen(blocks: list[CodeBlock], shape: AnswerShape) -> str:
    """Return the last block of the language that declares the function, as an answer that corrects itself means it."""
    tags = {"", "code", *TAGS.get(shape.language, {shape.language})}
    fitting = [block.text for block in blocks if block.tag in tags] or [block.text for block in blocks]
    if shape.language == "html":
        return fitting[-1]
    return next((text for text in reversed(fitting) if shape.name and _declaration(text, shape)), fitting[0])


def _without_prose(text: str) -> str:
    """Return a text without the sentences before its code and behind it."""
    lines = text.split("\n")
    first, last = 0, len(lines)
    while first < last and (not lines[first].strip() or _PROSE.match(lines[first].strip())):
        first += 1
    for number in range(first + 1, last):
        if not lines[number - 1].strip() and _PROSE.match(lines[number].strip()):
            last = number
            break
    found = "\n".join(lines[first:last])
    has_words = any(line.strip() for line in (*lines[:first], *lines[last:]))
    return found if found.strip() and has_words else text


def _holds_head(code: str, shape: AnswerShape) -> bool:
    return bool(shape.head.strip()) and code.strip().startswith(shape.head.strip())


def _fitted(code: str, shape: AnswerShape) -> str:
    """Return the code as the rest of the prompt."""
    found = _declaration(code, shape) if shape.name else None
    if _holds_head(code, shape):
        code = code.strip()[len(shape.head.strip()) :]
    elif found is not None:
        code = _behind_opening(code, found, shape)
    elif shape.language == "php":
        code = re.sub(r"\A\s*<\?php\b", "", code)
    elif shape.name and not code.lstrip("\n")[:1].isspace():  # a body that lost its indentation
        code = textwrap.indent(textwrap.dedent(code.strip("\n")), _inner_indent(shape.head))
    if shape.head.endswith("\n"):
        code = code.removeprefix("\n")
    elif not code.startswith(("\n", " ", "\t")):
        code = f"\n{code}"
    return _closed(code.rstrip() + "\n", shape)


def _inner_indent(head: str) -> str:
    last = head.rstrip("\n").rpartition("\n")[2]
    return last[: len(last) - len(last.lstrip())] + "    "


def _behind_opening(code: str, found: re.Match[str], shape: AnswerShape) -> str:
    """Return what follows the function's opening, then what the answer declares before it."""
    before, opened = code[: found.start()], code[found.start() :]
    if shape.language in WORD_ENDED:
        rest = opened.partition("\n")[2]
    else:
        name_end = opened.find(shape.name) + len(shape.name)
        opening = _opening_brace(opened, name_end)
        if opening < 0:
            return code
        rest = opened[opening + 1 :]
    margin = len(opened) - len(opened.lstrip())
    if margin and shape.language not in ("java", "csharp"):
        rest = textwrap.dedent(rest)
    return _with_helpers(rest.lstrip("\n") if rest[:1] == "\n" else rest, before, shape)


def _opening_brace(text: str, place: int) -> int:
    """Return where a function's body opens; braces within its arguments do not."""
    depth = 0
    for index in range(place, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if text[index] == "{" and depth <= 0:
            return index
    return -1


def _with_helpers(rest: str, before: str, shape: AnswerShape) -> str:
    """Put what an answer declares ahead of the function behind it, where that is as good."""
    known = {line.strip() for line in shape.head.split("\n")}
    kept = [line for line in before.split("\n") if line.strip() not in known and not _is_frame(line, shape)]
    helpers = "\n".join(kept).strip("\n")
    if not helpers.strip():
        return rest
    if shape.language == "lua":
        helpers = re.sub(r"^local (?=function\b)", "", helpers, flags=re.MULTILINE)
    if shape.language in ("java", "csharp"):
        end = _function_end(rest, shape)
        return f"{rest[:end]}\n{helpers}\n{rest[end:]}"
    if shape.language == "cpp":
        heads = [match[0].strip() for _, match in _declared(helpers, "cpp")]
        starts = [match.start() for _, match in _declared(helpers, "cpp")]
        prototypes = "".join(
            f"    {helpers[at : helpers.find('{', at)].strip()};\n" for at in starts[: len(heads)]
        )
        extra = "#include <bits/stdc++.h>\n" if "#include" in helpers else ""
        return f"{prototypes}{rest.rstrip()}\n{helpers}\n{extra}"
    return f"{rest.rstrip()}\n{helpers}\n"


def _is_frame(line: str, shape: AnswerShape) -> bool:
    """Tell whether a line only says again what stands around every answer."""
    line = line.strip()
    if shape.language in ("java", "csharp"):
        return bool(_FRAME_OF_CLASSES.match(line))
    return bool(re.match(r"<\?php|#!|package \w+|using namespace std;|//|/\*|\*|--|#(?!include)", line))


def _braces(text: str, language: str) -> Iterator[tuple[int, str]]:
    pattern = _STRINGS if language in ("shell", "php") else _TOKENS
    if language == "rust":
        pattern = re.compile(_TOKENS.pattern.replace("{1,4}'", "{1}'"), re.DOTALL)  # a lifetime opens no text
    for found in pattern.finditer(text):
        if found[0] in "{}":
            yield found.start(), found[0]


def _depth(text: str, language: str) -> int:
    return sum(1 if brace == "{" else -1 for _, brace in _braces(text, language))


def _function_end(rest: str, shape: AnswerShape) -> int:
    """Return the place behind the brace that closes the function."""
    depth = 1
    for place, brace in _braces(rest, shape.language):
        depth += 1 if brace == "{" else -1
        if depth == 0:
            return place + 1
    return len(rest)


def _closed(code: str, shape: AnswerShape) -> str:
    """Return the code with the ends that are missing, without those that the test brings and a main of its own."""
    if shape.language in WORD_ENDED:
        last = code.rstrip().rpartition("\n")[2]
        return code if not shape.name or last.startswith("end") else f"{code.rstrip()}\nend\n"
    if shape.language == "html":
        return code
    if shape.language == "cpp" and (main := _MAIN.search(code)):
        rest = code[main.end() :]
        code = code[: main.start()] + rest[_function_end(rest, shape) :]
    depth = _depth(shape.head, shape.language)
    kept = code
    for place, brace in _braces(code, shape.language):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            kept, depth = code[:place].rstrip() + "\n", 0
            break
    while depth < shape.closed_by_test and kept.rstrip().endswith("}"):
        kept, depth = kept.rstrip()[:-1].rstrip() + "\n", depth + 1
    return kept + "}\n" * (depth - shape.closed_by_test)
