"""The language of a file by linguist's published rules: name, modeline, shebang, extension, heuristics.

Owns: the order of the strategies and what is left when a rule does not decide. Pure.
Does not own: the rules themselves (rules/*.json, from github-linguist/linguist). linguist's last
strategy, a classifier trained on samples, is left out: it guesses; here the decision has a reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from daybreak_data.rules.patterns import matcher, rule_file

HEURISTICS_CONSIDER_CHARS = 50 * 1024
"""linguist/heuristics.rb: HEURISTICS_CONSIDER_BYTES."""
_MODELINE_LINES = 5
_LONGEST_MODELINE = 1024

_KEYS = {"C++": "cpp", "C#": "csharp"}
_FAMILIES = {
    "tsx": "typescript",
    "json-with-comments": "json",
    "oasv2-json": "json",
    "oasv3-json": "json",
    "oasv2-yaml": "yaml",
    "oasv3-yaml": "yaml",
    "plpgsql": "sql",
    "plsql": "sql",
    "sqlpl": "sql",
    "tsql": "sql",
    "maven-pom": "xml",
    "xml-property-list": "xml",
}
# linguist/popular.yml in short: who wins an extension that several claim and no heuristic decides.
_POPULAR = [
    "Python",
    "JavaScript",
    "TypeScript",
    "TSX",
    "Java",
    "Go",
    "C",
    "C++",
    "Rust",
    "C#",
    "Ruby",
    "PHP",
    "Shell",
    "SQL",
    "HTML",
    "CSS",
    "JSON",
    "YAML",
    "TOML",
    "XML",
    "Markdown",
    "Kotlin",
    "Swift",
    "Scala",
    "Objective-C",
    "Perl",
    "Lua",
    "R",
    "Haskell",
    "Dart",
    "Elixir",
    "SCSS",
]

_EMACS = re.compile(
    r"-\*-(?:[ \t]*([^:;\s]+)[ \t]*-\*-|(?:.*?[ \t;])??[ \t]*mode[ \t]*:[ \t]*([^:;\s]+?)(?=[ \t;]|-\*-).*?-\*-)",
    re.IGNORECASE,
)
_VIM = re.compile(r"(?:(?:^|[ \t])(?:vi|[vV]im(?:[<=>]?[0-9]+)?)|[ \t]ex):(.*)", re.MULTILINE)
_VIM_SET = re.compile(r"[ \t]*set?[ \t]([^\r\n:]+):")
_VIM_TYPE = re.compile(r"(?:^|[ \t:])(?:filetype|ft|syntax)[ \t]*=(\w+)(?=$|\s|:)")
_SHELL_EXEC = re.compile(r"exec (\w+)[\s\"']+\$0[\s\"']+\$@")
_MANPAGE = re.compile(r"\.(?:[1-9](?![0-9])[a-z_0-9]*|0p|n|man|mdoc)(?:\.in)?$", re.IGNORECASE)


@dataclass(frozen=True)
class _Catalogue:
    """linguist's languages by what names them; lists are in linguist's order."""

    by_extension: dict[str, tuple[str, ...]]
    by_filename: dict[str, tuple[str, ...]]
    by_interpreter: dict[str, tuple[str, ...]]
    by_alias: dict[str, str]
    first_extension: dict[str, str]


def detect_language(path: str, text: str) -> str | None:
    """The language's key, as manifests write it ("python", "cpp", "objective-c"), or None.

    Each strategy narrows what the earlier ones left (github-linguist/linguist, lib/linguist.rb); the first
    that leaves one language decides.
    """
    name = _detect(path.replace("\\", "/").rsplit("/", 1)[-1], text)
    return None if name is None else key_of(name)


def stated_language(text: str) -> str | None:
    """The key of a language in a data set's own spelling ("C++", "Shell", "golang"): linguist's names and aliases."""
    name = _catalogue().by_alias.get(text.strip().lower())
    return None if name is None else key_of(name)


def key_of(name: str) -> str:
    """linguist's name as a manifest writes it: lower case, dashes for spaces."""
    return _KEYS.get(name, name.lower().replace(" ", "-"))


def family_of(language: str) -> str:
    """The language under which a manifest lists a dialect: "tsx" is kept with "typescript"."""
    return _FAMILIES.get(language, language)


def _detect(name: str, text: str) -> str | None:
    catalogue = _catalogue()
    candidates = catalogue.by_filename.get(name, ())
    if len(candidates) == 1:
        return candidates[0]
    mode = _modeline(text)
    if mode is not None and mode.lower() in catalogue.by_alias:
        return catalogue.by_alias[mode.lower()]
    candidates = _narrow(candidates, catalogue.by_interpreter.get(_interpreter(text) or "", ()))
    if len(candidates) == 1:
        return candidates[0]
    extension = _extension(name, catalogue)
    if extension not in _generic():
        candidates = _narrow(candidates, catalogue.by_extension.get(extension, ()))
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        candidates = _by_content(name, text)
    return _heuristic(name, text) or _settle(candidates, extension, catalogue)


def _narrow(candidates: tuple[str, ...], found: tuple[str, ...]) -> tuple[str, ...]:
    """What both name; what is known already if they have nothing in common."""
    if not candidates:
        return found
    return tuple(name for name in candidates if name in found) or candidates


def _by_content(name: str, text: str) -> tuple[str, ...]:
    """linguist/strategy/xml.rb and manpage.rb, for a file whose name says nothing."""
    if "<?xml version=" in "\n".join(text[:4096].split("\n", 2)[:2]):
        return ("XML",)
    return ("Roff Manpage", "Roff") if _MANPAGE.search(name) else ()


def _settle(candidates: tuple[str, ...], extension: str, catalogue: _Catalogue) -> str | None:
    """One of several: the popular one whose first extension this is, else the only popular one.

    Nothing is guessed between two popular or two unknown languages. XML lists the extension of everything
    that is sometimes written in it, so it wins none this way.
    """
    if len(candidates) <= 1:
        return candidates[0] if candidates else None
    own = [name for name in candidates if catalogue.first_extension.get(name) == extension]
    popular = [name for name in _POPULAR if name in candidates and (name in own or name != "XML")]
    both = [name for name in popular if name in own]
    for group in (both, popular, own):
        if len(group) == 1:
            return group[0]
    return both[0] if both else None


def _heuristic(name: str, text: str) -> str | None:
    """linguist/heuristics.rb: the first entry for the extension, its first rule that holds."""
    rules = next((rules for ending, rules in _heuristics() if name.lower().endswith(ending)), ())
    head = text[:HEURISTICS_CONSIDER_CHARS]
    for rule in rules:
        if all(_holds(condition, head) for condition in rule["all"]):
            return str(rule["language"])
    return None


def _holds(condition: dict[str, list[str]], text: str) -> bool:
    if "any" in condition:
        return any(matcher(pattern)(text) for pattern in condition["any"])
    return not any(matcher(pattern)(text) for pattern in condition["none"])


def _modeline(text: str) -> str | None:
    """The mode named for Emacs or Vim in the first or last five lines (linguist/strategy/modeline.rb)."""
    ends = text.split("\n", _MODELINE_LINES)[:_MODELINE_LINES]
    ends += text.rsplit("\n", _MODELINE_LINES)[-_MODELINE_LINES:]
    lines = [line[:_LONGEST_MODELINE] for line in ends]
    for line in lines:
        emacs = _EMACS.search(line) if "-*-" in line else None
        if emacs:
            return emacs.group(1) or emacs.group(2)
    for line in lines:
        vim = _VIM.search(line) if ":" in line else None
        mode = _vim_mode(vim.group(1)) if vim else None
        if mode is not None:
            return mode
    return None


def _vim_mode(options: str) -> str | None:
    """The file type of ``noai: ft=sh`` or of ``set ft=sh:``."""
    closed = _VIM_SET.match(options)
    if closed is None and re.match(r"[ \t]*set?[ \t]", options):
        return None
    found = _VIM_TYPE.search(closed.group(1) if closed else options)
    return found.group(1) if found else None


def _interpreter(text: str) -> str | None:
    """The program of a ``#!`` line, without version (linguist/shebang.rb)."""
    if not text.startswith("#!"):
        return None
    words = text.split("\n", 1)[0][2:_LONGEST_MODELINE].split()
    if not words:
        return None
    program = words[0].rsplit("/", 1)[-1]
    if program == "env":
        rest = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
        program = rest[0].rsplit("/", 1)[-1] if rest else ""
    program = re.sub(r"(\.\d+)$", "", program)
    if program == "sh":
        hack = next(filter(None, map(_SHELL_EXEC.search, text[:4096].split("\n", 5)[:5])), None)
        program = hack.group(1) if hack else program
    if program == "osascript" and "-l" in words:
        return None
    return program or None


def _extension(name: str, catalogue: _Catalogue) -> str:
    """The longest known ending that starts with a dot: ``.blade.php`` before ``.php``."""
    lower = name.lower()
    start = lower.find(".")
    while start != -1:
        ending = lower[start:]
        if ending in catalogue.by_extension or ending in _generic():
            return ending
        start = lower.find(".", start + 1)
    return ""


@cache
def _generic() -> frozenset[str]:
    return frozenset(rule_file("generic.json")["extensions"])


@cache
def _heuristics() -> list[tuple[tuple[str, ...], list[dict[str, list[dict[str, list[str]]]]]]]:
    return [(tuple(e["extensions"]), e["rules"]) for e in rule_file("heuristics.json")["disambiguations"]]


@cache
def _catalogue() -> _Catalogue:
    tables: dict[str, dict[str, list[str]]] = {"extensions": {}, "filenames": {}, "interpreters": {}}
    aliases: dict[str, str] = {}
    first: dict[str, str] = {}
    for name, entry in rule_file("languages.json")["languages"].items():
        for table, names in tables.items():
            for value in entry.get(table, ()):
                names.setdefault(value.lower() if table == "extensions" else value, []).append(name)
        for alias in (name.lower(), name.lower().replace(" ", "-"), *entry.get("aliases", ())):
            aliases.setdefault(alias.lower(), name)
        if entry.get("extensions"):
            first[name] = entry["extensions"][0].lower()
    frozen = {table: {key: tuple(value) for key, value in names.items()} for table, names in tables.items()}
    return _Catalogue(frozen["extensions"], frozen["filenames"], frozen["interpreters"], aliases, first)
