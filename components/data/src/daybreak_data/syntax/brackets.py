"""Whether the brackets of a text are whole: opened and closed in order outside of strings and comments.

Owns: how the families of languages write strings, comments and directives, as far as brackets need it.
It is the second opinion on a file that a grammar cannot place (check.py): a dialect that the grammar is too old
for closes what it opens, a file that was cut or glued does not. Knows nothing of the language beyond that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

_CLOSER_OF = {"(": ")", "[": "]", "{": "}"}
FURTHEST_CLOSED, MOST_TOLD = 20, 3
"""A closing bracket is looked for in the innermost twenty that are open; three lines of each kind are told."""

_LINE = r"(?P<skip>\\.|//[^\n]*"
_CONTINUED_LINE = r"(?P<skip>\\.|//(?:\\\r?\n|[^\n])*"
_BLOCK = r"|/\*.*?\*/"
_DOUBLE = r"|\"(?:\\.|[^\"\\\n])*\""
_SINGLE = r"|'(?:\\.|[^'\\\n])*'"
_TRIPLE = r"|\"\"\"(?:\\.|[^\\])*?\"\"\"+"
_STRING = r"\"(?:\\.|[^\"\\\n]){0,200}+\""
_IN_BRACES = r"\{(?:[^{}\"'\\\n]|\{[^{}\"\n]{0,200}\}|" + _STRING + r"|'(?:\\.|[^'\\\n])'){0,500}+\}"
"""What stands in an interpolated string: an expression, with strings of its own."""
_IN_SINGLE = r"\{(?:[^{}\"'\\\n]|\{[^{}'\n]{0,200}\}|" + _STRING + r"|'(?:\\.|[^'\\\n]){0,200}+'){0,500}+\}"
"""The same where single quotes hold strings, as in Dart."""
_BEFORE_NO_TRIPLE = r"|(?!\"\"\")"
_INTERPOLATED = _BEFORE_NO_TRIPLE + r"\"(?>\\.|\$" + _IN_BRACES + r"|[^\"\\\n])*+\""
_SWIFT_STRING = (
    _BEFORE_NO_TRIPLE
    + r"\"(?>\\\((?:[^()\"\\\n]|\([^()\"\n]{0,200}\)|"
    + _STRING
    + r"){0,500}+\)|\\.|[^\"\\\n])*+\""
)
_ENDS = r")|(?P<unended>/\*|\"\"\"|'''|`)|(?P<open>[(\[{])|(?P<close>[)\]}])"
_REGEX_BODY = r"/(?![/*>])(?:\\.|\[(?:\\.|[^\]\\\n]){0,60}\]|[^/\\\n\[]){1,200}/[a-z]*"
_FAMILIES = {
    "c": _CONTINUED_LINE
    + _BLOCK
    + r"|\b[uUL8]*R\"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)\""
    + r"|\b(?:0[xXbB])?[0-9][\w.]{0,64}(?:'[0-9a-fA-F]+)+"
    + _DOUBLE
    + _SINGLE
    + r")|(?P<macro>^[ \t]*[A-Z][A-Z0-9_]{3,64}[ \t]*\([^(){};\"'/\n]*\)[ \t]*\r?\n)(?![ \t\r\n]*[{;])"
    + r"|(?P<directive>^[ \t]*(?:\#|%:|\?\?=)"
    + r"(?:\\\r?\n|\"(?:\\.|[^\"\\\n])*\"|//(?:\\\r?\n|[^\n])*|/\*.{0,2000}?\*/|[^\n])*)"
    + r"|(?P<unended>/\*|\bR\"[^()\\\s]{0,16}\()|(?P<open>[(\[{])|(?P<close>[)\]}])",
    "csharp": _LINE
    + _BLOCK
    + r"|(?<![\"$])\$*+(?P<mark>\"{3,}+).*?(?P=mark)|(?:\$@|@\$|@)\"(?:\"\"|[^\"])*\""
    + r"|\$\"(?>\\.|\{\{|" + _IN_BRACES + r"|[^\"\\\n])*+\""
    + _BEFORE_NO_TRIPLE + _DOUBLE[1:]
    + _SINGLE
    + r")|(?P<directive>^[ \t]*\#[^\n]*)|(?P<unended>/\*|@\"|\"\"\")|(?P<open>[(\[{])|(?P<close>[)\]}])",
    "go": _LINE + _BLOCK + r"|`[^`]*`" + _DOUBLE + _SINGLE + _ENDS,
    "java": _LINE + _BLOCK + _TRIPLE + _BEFORE_NO_TRIPLE + _DOUBLE[1:] + r"|'(?:\\[^'\n]+|\\'|[^'\\\n])'" + _ENDS,
    "kotlin": _LINE
    + _TRIPLE
    + r"|(?P<mark>'{3,}+).*?(?P=mark)"
    + _INTERPOLATED + r"|'(?:\\[^'\n]+|\\'|[^'\\\n])'" + r"|`[^`\n]*`" + _ENDS,
    "swift": _LINE
    + r"|(?<!\#)(?P<lines>\#++)\"{3}[ \t]*\r?\n.*?\"{3}(?P=lines)"
    + r"|(?<!\#)(?P<mark>\#++)\".*?\"(?P=mark)|(?<!\#)(?P<slashes>\#++)/.*?/(?P=slashes)"
    + _TRIPLE
    + _SWIFT_STRING
    + r"|`[^`\n]*`|(?<=[(,=:\[ ])/(?![ /*\t\n])(?:\\.|[^/\\\n]){0,200}?(?<![ \t])/(?=[\s),.\]]|$)"
    + r")|(?P<unended>/\*|(?<!\#)\#++\"|\"\"\")|(?P<open>[(\[{])|(?P<close>[)\]}])",
    "dart": _LINE
    + r"|\br(?:(?P<mark>\"{3}|'{3}).*?(?P=mark)|'[^'\n]*'|\"[^\"\n]*\")"
    + _TRIPLE + r"|'''(?:\\.|[^\\])*?'''" + _INTERPOLATED
    + r"|(?!''')'(?>\\.|\$" + _IN_SINGLE + r"|[^'\\\n])*+'" + _ENDS,
    "rust": _LINE
    + r"|\b(?:b|c)?r(?P<mark>\#*)\".*?\"(?P=mark)|\"(?:\\.|[^\"\\])*\"|'(?:\\[^'\n]+|\\'|[^'\\\n])'"
    + r")|(?P<unended>/\*|\br\#+\"|\")|(?P<open>[(\[{])|(?P<close>[)\]}])",
    "javascript": _LINE
    + _BLOCK
    + _DOUBLE
    + _SINGLE
    + r"|(?:(?<=[(,=:\[!&|?{};+*%~^\n])|(?<==>))[ \t]*"
    + _REGEX_BODY
    + r"|\b(?:return|typeof|case|of|in|yield|await)[ \t]*"
    + _REGEX_BODY
    + r")|(?P<unended>/\*)|(?P<template>`)|(?P<open>[(\[{])|(?P<close>[)\]}])",
    "css": r"(?P<skip>\\.|/\*.*?\*/|\burl\(\s*[^\"'\s)](?:\([^()\n]*\)|[^)\n])*+\)"
    + _DOUBLE
    + _SINGLE
    + r")|(?P<unended>/\*)|(?P<open>[(\[{])|(?P<close>[)\]}])",
    "scss": r"(?P<skip>\\.|(?<!:)//[^\n]*|/\*.*?\*/|\burl\(\s*[^\"'\s)](?:\#\{[^}\n]*\}|\([^()\n]*\)|[^)\n])*+(?:\)|$)"
    + _DOUBLE
    + _SINGLE
    + r")|(?P<unended>/\*)|(?P<open>[(\[{])|(?P<close>[)\]}])",
    "plain": _LINE + _BLOCK + _DOUBLE + _SINGLE
    + r")|(?P<unended>/\*)|(?P<open>[(\[{])|(?P<close>[)\]}])",
    "php": r"(?P<skip>\?>.*?(?:<\?(?:php\b|=)|\Z)|(?://|\#(?!\[))(?:(?!\?>)[^\n])*"
    + _BLOCK
    + r"|<<<[ \t]*[\"']?(?P<mark>\w+)[\"']?(?=\r?\n)[^\0]*?\n[ \t]*(?P=mark)\b"
    + r"|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`"
    + r")|(?P<unended>/\*|<<<[ \t]*[\"']?\w+[\"']?\r?\n|\"|'|`)|(?P<open>[(\[{])|(?P<close>[)\]}])",
}  # fmt: skip
_FAMILY_OF = {
    **dict.fromkeys(("c", "cpp", "objective-c", "objective-c++", "cuda", "glsl", "hlsl"), "c"),
    **dict.fromkeys(("javascript", "typescript", "tsx"), "javascript"),
    **dict.fromkeys(("kotlin", "scala"), "kotlin"),
    **dict.fromkeys(("scss", "less"), "scss"),
    **dict.fromkeys(("solidity", "protocol-buffer"), "plain"),
    **{name: name for name in ("csharp", "go", "java", "swift", "dart", "rust", "css", "php")},
}
LANGUAGES = tuple(sorted(_FAMILY_OF))
"""Whose strings and comments are known."""
_NO_CODE = frozenset(("skip", "mark", "slashes", "lines"))
_NESTED_COMMENTS = frozenset(("kotlin", "swift", "dart", "rust"))
_NESTED = re.compile(r"/\*|\*/")
_TEMPLATE = re.compile(r"\\.|\$\{|`", re.DOTALL)
_DEFINITION = re.compile(r"[ \t]*(?:#|%:|\?\?=)[ \t]*define[ \t]+\w+(?:\([^()]*\))?")
_BEFORE_STATEMENT = re.compile(r"\b(?:if|while|for|with)[ \t]*\Z")
"""What a parenthesis belongs to behind which a statement begins: there a slash begins a regular expression."""
_REGEX = re.compile(r"[ \t]*" + _REGEX_BODY)
_CONDITION = re.compile(
    r"[ \t]*(?:#|%:|\?\?=)[ \t]*(ifdef|ifndef|if|elifdef|elifndef|elif|else|endif)\b[ \t]*(.*)"
)


@dataclass(frozen=True)
class Balance:
    """What is left over at the end: the line of each opener that nothing closes, of each closer alone."""

    unclosed: tuple[int, ...] = ()
    unopened: tuple[int, ...] = ()
    unended: int | None = None
    """Line of a comment, a string or an ``#if`` that the file ends in."""
    is_conditional: bool = False
    """It is an ``#if`` that nothing ends."""

    @property
    def is_whole(self) -> bool:
        """Nothing is left over."""
        return not self.unclosed and not self.unopened and self.unended is None

    def __str__(self) -> str:
        if self.unended is not None:
            return f"ends inside what begins on line {self.unended}"
        if self.unclosed:
            return f"nothing closes the bracket of line {self.unclosed[-1]}"
        return f"line {self.unopened[0]}: nothing opens this bracket"


def balance(text: str, language: str) -> Balance:
    """Return what the brackets leave over, in the reading of the conditional lines that leaves least.

    ``#if`` may split a condition or a list of bases; then one branch at a time is whole, or all of them are. Where the
    file defines macros that open or close a bracket for others, nobody can tell by counting.
    """
    family = _FAMILY_OF[language]
    events = list(_events(text, family))
    best: Balance | None = None
    for chooses in (_first_branch, _last_branch, _every_branch, _all_defined, _none_defined):
        found = _count(text, events, chooses)
        if found.is_whole:
            return found
        if best is None or _rest(found) < _rest(best):
            best = found
        if not any(kind == "directive" for kind, _, _ in events):
            break
    assert best is not None
    macros_open = best.unended is None and any(
        kind == "directive" and _is_half(token, family) for kind, token, _ in events
    )
    return Balance() if macros_open else best


def code_of(text: str, language: str) -> str:
    """Return the text with blanks in the place of strings, comments and what is outside of the language."""
    family = _FAMILY_OF[language]
    start = _first_code(text, family)
    code = _pattern(family).sub(_blank, text[start:])
    return " " * start + code


def _blank(found: re.Match[str]) -> str:
    return " " * len(found.group()) if found.lastgroup in {None, *_NO_CODE} else found.group()


def _is_half(directive: str, family: str) -> bool:
    """Whether a directive defines a macro that leaves brackets over."""
    name = _DEFINITION.match(directive)
    if name is None:
        return False
    body = directive[name.end() :]
    return not _count(body, list(_events(body, family)), _every_branch).is_whole


def _rest(found: Balance) -> int:
    return len(found.unclosed) + len(found.unopened) + (found.unended is not None)


_Event = tuple[str, str, int]
"""Kind (open, close, directive, macro, unended), text, offset."""


def _events(text: str, family: str) -> Iterator[_Event]:
    code, nested, place = _pattern(family), family in _NESTED_COMMENTS, _first_code(text, family)
    statements: list[bool] = []
    """Of each open parenthesis: whether a statement follows it."""
    braces: list[bool] = []
    """Of each open brace: whether it is the ``${`` of a template."""
    while (found := code.search(text, place)) is not None:
        kind, token, place = found.lastgroup or "skip", found.group(), found.end()
        if kind in _NO_CODE:
            continue
        end = _end_of_nested(text, place) if nested and token == "/*" else None
        if end is not None:
            place = end
            continue
        if not _goes_on_as_template(kind, token, braces):
            yield kind, token, found.start()
        else:
            place, opened = _through_template(text, place)
            if opened:
                braces.append(True)
            if opened is None:
                kind = "unended"
                yield kind, token, found.start()
        if kind == "unended":
            return
        if family == "javascript" and _ends_condition(text, token, found.start(), statements):
            expression = _REGEX.match(text, place)
            place = expression.end() if expression else place
    if any(braces):
        yield "unended", "${", len(text)


def _ends_condition(text: str, token: str, start: int, statements: list[bool]) -> bool:
    """Whether this is the parenthesis behind the condition of a statement."""
    if token == "(":
        statements.append(_BEFORE_STATEMENT.search(text[max(0, start - 12) : start]) is not None)
    return token == ")" and bool(statements) and statements.pop()


def _first_code(text: str, family: str) -> int:
    if family != "php":
        return 0
    start = re.search(r"<\?(?:php\b|=)", text)
    return start.end() if start else len(text)


def _goes_on_as_template(kind: str, token: str, braces: list[bool]) -> bool:
    """Whether the text of a template follows: after its first mark and after each ``}`` of a ``${``."""
    if kind == "template":
        return True
    if token == "{":
        braces.append(False)
    return token == "}" and bool(braces) and braces.pop()


def _through_template(text: str, place: int) -> tuple[int, bool | None]:
    """Return where the text of a template ends, and whether with ``${`` (None: it never does)."""
    while (found := _TEMPLATE.search(text, place)) is not None:
        place = found.end()
        if found.group() in {"`", "${"}:
            return place, found.group() == "${"
    return place, None


def _end_of_nested(text: str, place: int) -> int | None:
    depth = 1
    while (found := _NESTED.search(text, place)) is not None:
        depth += 1 if found.group() == "/*" else -1
        place = found.end()
        if not depth:
            return place
    return None


_Chooser = Callable[[str, str, bool], bool]
"""Given the directive, its condition and whether a branch was read before: whether this branch is read."""


def _first_branch(word: str, condition: str, was_read: bool) -> bool:
    return not was_read and not (word == "if" and condition.strip() in {"0", "false"})


def _last_branch(word: str, condition: str, was_read: bool) -> bool:
    return word == "else"


def _every_branch(word: str, condition: str, was_read: bool) -> bool:
    return True


def _all_defined(word: str, condition: str, was_read: bool) -> bool:
    """Every name is defined: the same answer wherever a condition asks for it."""
    said = condition.strip()
    return not was_read and word not in {"ifndef", "elifndef"} and not said.startswith("!") and said != "0"


def _none_defined(word: str, condition: str, was_read: bool) -> bool:
    """No name is."""
    said = condition.strip()
    return not was_read and (word in {"ifndef", "elifndef", "else"} or said.startswith("!") or said == "1")


class _Counter:
    """Brackets and conditional lines, read one after the other."""

    def __init__(self, chooses: _Chooser) -> None:
        self._chooses = chooses
        self._open: list[tuple[str, int]] = []
        self._branches: list[tuple[bool, bool, int]] = []
        """Of each open condition: this branch is read, this or an earlier one was, where it begins."""
        self._unended: int | None = None
        self._unclosed: list[int] = []
        self._unopened: list[int] = []
        self._macros: list[int] = []
        """Of each line that is a macro alone: how many brackets were open. It may open one: STRUCT( Name ) int a; };"""

    def take(self, kind: str, token: str, offset: int) -> None:
        """Read one event."""
        if kind == "directive":
            condition = _CONDITION.match(token)
            if condition is not None:
                self._branch(condition.group(1), condition.group(2), offset)
        elif all(read for read, _, _ in self._branches):
            if kind == "unended":
                self._unended = offset
            elif kind == "macro":
                self._macros.append(len(self._open))
            elif kind == "open":
                self._open.append((_CLOSER_OF[token], offset))
            else:
                self._close(token, offset)

    def _branch(self, word: str, condition: str, offset: int) -> None:
        if word.startswith("if"):
            read = self._chooses(word, condition, False)
            self._branches.append((read, read, offset))
        elif not self._branches:
            self._unopened.append(offset)
        elif word == "endif":
            self._branches.pop()
        else:
            _, before, start = self._branches[-1]
            read = self._chooses(word, condition, before)
            self._branches[-1] = (read, before or read, start)

    def _close(self, token: str, offset: int) -> None:
        if not any(closer == token for closer, _ in self._open[-FURTHEST_CLOSED:]):
            if token == "}" and self._macros and self._macros[-1] <= len(self._open):
                self._macros.pop()
            else:
                self._unopened.append(offset)
            return
        while self._open[-1][0] != token:
            self._unclosed.append(self._open.pop()[1])
        self._open.pop()

    def left(self, text: str) -> Balance:
        """What is left over at the end of the text."""
        unclosed = sorted(self._unclosed + [offset for _, offset in self._open])
        unended = self._branches[-1][2] if self._branches else self._unended

        def lines(offsets: list[int]) -> tuple[int, ...]:
            return tuple(text.count("\n", 0, offset) + 1 for offset in offsets)

        return Balance(
            lines(unclosed[-MOST_TOLD:]),
            lines(self._unopened[:MOST_TOLD]),
            None if unended is None else lines([unended])[0],
            bool(self._branches),
        )


def _count(text: str, events: list[_Event], chooses: _Chooser) -> Balance:
    counter = _Counter(chooses)
    for event in events:
        counter.take(*event)
    return counter.left(text)


@cache
def _pattern(family: str) -> re.Pattern[str]:
    return re.compile(_FAMILIES[family], re.MULTILINE | re.DOTALL)
