"""What a language's assembling gives: the texts that the boxes get.

Owns the value and what is the same in several languages: finding the names that a test calls.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

Files = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sources:
    """Texts for the boxes of one answer."""

    answer: Files
    """Files in /job for the answer's side; with a test in the same process they hold the test as well."""
    test: Files = ()
    """Files in /job for the test's side, where it is a process of its own."""
    stdin: str = ""
    """Standard input of the compiler: a program that is read from there is in no file that it could read itself."""
    arguments: tuple[str, ...] = ()
    """Come behind the command that runs the program."""
    whole: bool = False
    """It is a program by itself, and compiled as one."""
    ending: str = ""
    """What the program says behind the secret; it stands in no other place than the end of the test (decision 0132)."""


@dataclass(frozen=True)
class CalledNames:
    """Functions that a test calls."""

    asked: tuple[str, ...]
    """Of the answer."""
    helpers: tuple[str, ...]
    """Whole in the prompt, so that the test's side can run them itself."""
    by_answer: bool = False
    """Only the answer says them: one that is the language's own already stays what it is on the test's side."""


def called_names(
    entry_point: str, in_prompt: Iterable[str], in_answer: Iterable[str], test: str, reserved: Collection[str]
) -> CalledNames:
    """Return what the test calls: the entry point, or the last function that the prompt begins, or the answer's.

    A function that the prompt holds before it is a helper.
    """
    words = set(re.findall(r"[\w$]+", test))
    prompt_names = [name for name in dict.fromkeys(in_prompt) if name in words]
    answer_names = [name for name in dict.fromkeys(in_answer) if name in words and name not in reserved]
    if entry_point:
        asked = [entry_point]
    else:
        asked = prompt_names[-1:] or [name for name in answer_names if name not in prompt_names]
    helpers = tuple(name for name in prompt_names if name not in asked)
    return CalledNames(tuple(asked), helpers, by_answer=not entry_point and not prompt_names)


_END = re.compile(r"\s*(?:\}|end\b)[;)]*[ \t]*(?:\n|$)")


def without_end(test: str) -> tuple[str, str]:
    """Part what closes the prompt's function from the test: some suites put it there, since no answer holds it."""
    match = _END.match(test)
    return (match[0], test[match.end() :]) if match else ("", test)


@cache
def driver_files(language: str) -> tuple[tuple[str, str], ...]:
    """Return name and text of a language's own drivers."""
    folder = resources.files("daybreak_evaluate.runtimes") / "drivers" / language
    if not folder.is_dir():
        return ()
    return tuple(sorted((path.name, path.read_text("utf-8")) for path in folder.iterdir() if path.is_file()))


def driver(language: str, name: str) -> str:
    """Return the text of one driver."""
    return dict(driver_files(language))[name]


def opened_function(head: str, entry_point: str = "") -> tuple[str, str] | None:
    """Return type and name of the function whose body a prompt in C's syntax begins; None where it cannot be told."""
    brace = head.rfind("{")
    closing = head.rfind(")", 0, max(brace, 0))
    if closing < 0 or "}" in head[brace:] or re.search(r"[;{}]", head[closing:brace]):
        return None
    depth, opening = 0, closing
    while opening >= 0:
        depth += {")": 1, "(": -1}.get(head[opening], 0)
        if not depth:
            break
        opening -= 1
    found = _TYPE_AND_NAME.search(head[: max(opening, 0)])
    if found is None or found[1] in NO_TYPES or entry_point not in ("", found[2]):
        return None
    return found[1].strip(), found[2]


_TYPE_AND_NAME = re.compile(
    r"^[ \t]*(?:(?:public|protected|private|static|final|inline|constexpr)\s+)*"
    r"((?:(?:const|unsigned|signed|long|short)[ \t]+)*[A-Za-z_][\w:.]*(?:[ \t]*<[^;{}()\n]*>)?(?:[ \t]*\[\])*"
    r"(?:[ \t]*[*&])*)\s*\b(\w+)\s*\Z",
    re.MULTILINE,
)
NO_TYPES = frozenset({"void", "auto", "return", "else", "new", "operator", "template"})


_TOKENS = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/|[()]', re.DOTALL)


def call_ends(text: str, opening: int) -> int:
    """Return the place behind the parenthesis that closes the one at ``opening``; -1 where none does."""
    depth = 0
    for found in _TOKENS.finditer(text, opening):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        if depth == 0 and found[0] == ")":
            return found.end()
    return -1
