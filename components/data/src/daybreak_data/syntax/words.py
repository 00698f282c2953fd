"""Whether a script of the shell or a page of HTML is whole: words and tags that open are closed.

Owns: the words that come in pairs. What brackets tell is brackets.py; this is the second opinion (check.py) where
brackets tell too little: ``case`` has closing ones alone, a page has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

LANGUAGES = ("html", "shell")
_SHELL = re.compile(
    r"\\.|(?:(?<=[\s;&|()])|^)\#[^\n]*|\$'(?:\\.|[^'\\])*'|'[^']*'|\"(?:\\.|[^\"\\])*\""
    r"|(?<![<\d(])<<-?[ \t]*(?P<quote>\\?[\"']?)(?P<mark>[A-Za-z_]\w*)[\"']?"
    r"|(?P<line>\n)|(?P<unended>[\"'])|(?P<word>(?:(?<=[\s;&|(`{!])|^)(?:then|elif|fi|do|done|case|esac)(?=[\s;&|)`}]|$))"
    r"|(?P<brace>[{}])",
    re.MULTILINE | re.DOTALL,
)
# The title of a test is what stands before the last brace, quotes and braces and all.
_TITLE_OF_BATS = re.compile(r"^[ \t]*@test[ \t][^\n]*[ \t](?=\{)", re.MULTILINE)
# What follows is no program: an archive behind the script that unpacks it.
_PAYLOAD = re.compile(
    r"^(?:exit\b|exec\b)[^\n]*\n+((?:\#[^\n]*\n|\n)*:?[ \t]*(?:_{2,}\w+_{2,}|[A-Z_]+_BELOW\w*):?[ \t]*\n)",
    re.MULTILINE,
)
_ZSH = re.compile(
    r"\A#!.*\bzsh\b|^#(?:compdef|autoload)\b|\$\{[({^=~]|\$\{\w+:[a-z]|\b(?:setopt|unsetopt|zstyle|zmodload|compdef|bindkey)\b"
    r"|\bemulate -L\b|\bautoload -|\bzle -|\[\(I\)|\bZSH",
    re.MULTILINE,
)
_OTHER_SHELL = re.compile(  # csh and rc, which linguist counts to the shell, close their blocks otherwise
    r"\A#!.*\b(?:t?csh|rc|fish)\b|^[ \t]*(?:endif|endsw)[ \t]*(?:#.*)?$|^[ \t]*setenv[ \t]+\w"
    r"|^[ \t]*set[ \t]+\w+[ \t]*=[ \t]*\(",
    re.MULTILINE,
)
# A program of another language that a shell starts: its comment hides from the one what the other reads.
_POLYGLOT = re.compile(r"\A#![^\n]*\n(?://|#\[|/\*|\(\*|--\[)")
_UNREAD = re.compile(r"<!--|<(script|style)\b[^<>]*>", re.IGNORECASE)
_ENDS = {"script": re.compile("</script", re.IGNORECASE), "style": re.compile("</style", re.IGNORECASE)}
_COMMENT_END = re.compile("--!?>")  # of ``<!-->``, too, which is an empty one
_PAGE_END = re.compile(r"</html\s*>\s*\Z", re.IGNORECASE)
_FIRST_PART = re.compile(
    r"(?:^|[/_.-])(?:headers?|head|top|prolog(?:ue)?|preamble|begin|start|before|open|navbar|nav)(?:[_.-][\w-]+)*\.x?html?$",
    re.IGNORECASE,
)
_TAGS = re.compile(r"<(/?)(html|head|body|table|div|ul|ol|form|section)\b", re.IGNORECASE)


def find_cut(text: str, language: str, path: str = "") -> str:
    """What shows that the text was cut, empty where nothing does."""
    return _of_shell(text) if language == "shell" else _of_markup(text, _FIRST_PART.search(path) is not None)


def _of_shell(text: str) -> str:
    if _OTHER_SHELL.search(text) or _POLYGLOT.match(text):
        return ""
    if _ZSH.search(text):  # its ``if [[ a ]] { b }`` and ``${(s:{:)c}`` leave words and braces over
        return ""
    text = _TITLE_OF_BATS.sub("", text)
    counts = dict.fromkeys(("then", "elif", "fi", "do", "done", "case", "esac", "{", "}"), 0)
    payload = _PAYLOAD.search(text)
    text = text if payload is None else text[: payload.start(1)]
    place, endless = 0, set[str]()
    waiting: list[str] = []
    """Marks of the here-documents that begin on the next line."""
    while (found := _SHELL.search(text, place)) is not None:
        place = found.end()
        if found.group("unended"):
            return "ends inside a string"
        mark, word = found.group("mark"), found.group("word") or found.group("brace")
        if mark:
            waiting.append(mark)
        elif found.group("line"):
            place = _behind_documents(text, place, waiting, endless)
        elif word in counts:
            counts[word] += 1
    counts["then"] -= counts["elif"]
    return _first_unpaired(counts, (("then", "fi"), ("do", "done"), ("case", "esac"), ("{", "}")))


def _behind_documents(text: str, place: int, marks: list[str], endless: set[str]) -> int:
    """Return where the here-documents of a line end; one without an end is a shift in arithmetic."""
    while marks:
        mark = marks.pop(0)
        end = None
        if mark not in endless:
            end = re.compile(rf"^[ \t]*{mark}[ \t]*$", re.MULTILINE).search(text, place)
        if end is None:
            endless.add(mark)
        else:
            place = end.end() + 1
    return place


def _first_unpaired(counts: Mapping[str, int], pairs: Iterable[tuple[str, str]]) -> str:
    for opening, closing in pairs:
        if counts[opening] > counts[closing]:
            return f"{counts[opening]} times {opening!r} and {counts[closing]} times {closing!r}"
    return ""


def _of_markup(text: str, is_first_part: bool) -> str:
    """Only what a page may not leave out: the end of a paragraph, of a list's item or of a cell it may.

    The first part of pages, which others go on with, may leave out every end.
    """
    plain: list[str] = []
    place = 0
    while (found := _UNREAD.search(text, place)) is not None:
        plain.append(text[place : found.start()])
        name = (found.group(1) or "").lower()
        end = _ENDS[name].search(text, found.end()) if name else _COMMENT_END.search(text, found.start() + 2)
        if end is None:
            return f"ends inside <{name}>" if name else "ends inside a comment"
        place = text.find(">", end.end() - 1) + 1 or len(text)
    rest = "".join([*plain, text[place:]])
    if rest.rfind("<") > rest.rfind(">"):
        return "ends inside a tag"
    if is_first_part or _PAGE_END.search(
        rest
    ):  # a page that reaches its end was not cut: browsers close what it forgot
        return ""
    counts: dict[str, int] = {}
    for tag in _TAGS.finditer(rest):
        name = tag.group(2).lower()
        counts[name] = counts.get(name, 0) + (-1 if tag.group(1) else 1)
    if "body" in counts:  # pages may leave out these ends, as tools that write them do
        counts |= dict.fromkeys(("html", "head", "body"), 0)
    name = next((name for name, number in counts.items() if number > 0), "")
    return f"nothing closes <{name}>" if name else ""
