"""Whether a file was written by a program, and which rule says so.

Owns: linguist's predicates (data in rules/generated.json, logic here) and the phrases that real generators
leave in comments. Pure. Does not own: what is dropped for it (document_rules.py).

OpenCoder drops every file with "generate" in its first 200 characters, hence ``def generate_report``; here a
phrase counts only as comment text in the first 40 lines and 4 KB, with word bounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from daybreak_data.rules.comments import comment_lines
from daybreak_data.rules.patterns import Matcher, matcher, rule_file

HEAD_LINES, HEAD_CHARS = 40, 4096
"""Go's convention is searched in 40 lines by linguist; 4 KB bound minified one-liners."""
WEAK_LINES = 5
"""The Stack v2 searches its five phrases in the first five lines (docs/thresholds.md)."""
MINIFIED_MEAN = 110
"""linguist/generated.rb, minified_files?: mean length of a line of .js and .css."""
COFFEE_SCORE = 3
"""linguist/generated.rb, compiled_coffeescript?."""

_MAP_REFERENCE = re.compile(r"^/[*/][#@] source(?:Mapping)?URL|sourceURL=", re.MULTILINE)
_MAP_NAME = re.compile(r"(?:\.css|\.js)\.map$", re.IGNORECASE)
_COFFEE_TEMPORARY = re.compile(r"_fn|_i|_len|_ref|_results")
_COFFEE_FUNCTION = re.compile(r"__bind|__extends|__hasProp|__indexOf|__slice")
_META = re.compile(r"<meta(\s[^<>]+)>", re.IGNORECASE)
_META_PAIR = re.compile(r"(?:^|\s)(name|content|value)\s*=\s*(\"[^\"]+\"|'[^']+'|[^\s\"']+)", re.IGNORECASE)
_META_TOOL = re.compile(r"(?:org\s+mode|j?latex2html|groff|makeinfo|texi2html|ronn)\b", re.IGNORECASE)
# Prose about generated things: "tools for automatically generated code", "not auto-generated".
_TALKING = re.compile(
    r"\b(?:not|non|never|of|for|with|on|any|some|all|these|no|each|every|from|to|using|uses?|contains?|into|in|about"
    r"|handles?|via|or|and|support|supports|allow|allows|like|than)[- ](?:an? |the )?$",
    re.IGNORECASE,
)
_SAYING_IT_IS = re.compile(r"\b(?:are|is|be|being|been|was|were|gets?) $", re.IGNORECASE)
_OF_THIS_FILE = re.compile(r"\b(?:this|these|it|files?|code|contents?|script|header|module)\b", re.IGNORECASE)
_GOES_ON = re.compile(
    r"\W*(?:$|[.,;:!(<\[-]|(?:by|from|on|using|with|at|via|do|please|don't|never|files?|code|module|class|header"
    r"|script|source|content|document|stub|bindings?|wrapper)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _ContentRule:
    name: str
    start: int
    end: int
    lines: int
    matches: Matcher


def find_generated(path: str, text: str, language: str | None) -> str | None:
    """The name of the first rule that matches, or None: path, then content, then phrases in comments."""
    name = path.replace("\\", "/")
    return _by_path(name) or _by_content(name, text) or _by_phrase(text, language)


def _by_path(path: str) -> str | None:
    rules, union = _path_rules()
    if not union(path):
        return None
    return next(rule for rule, matches in rules if matches(path))


def _by_content(path: str, text: str) -> str | None:
    extension = _extension(path)
    if not extension:
        return None
    for predicate in _PREDICATES.get(extension, ()):
        found = predicate(path, text)
        if found:
            return found
    for rule in _content_rules().get(extension, ()):
        lines = text.split("\n", rule.end)
        enough = len(lines) > rule.end or len(lines) >= rule.lines or text.count("\n") + 1 >= rule.lines
        if enough and rule.matches("\n".join(lines[rule.start : rule.end])):
            return rule.name
    return None


def _by_phrase(text: str, language: str | None) -> str | None:
    head = "\n".join(text[:HEAD_CHARS].split("\n", HEAD_LINES)[:HEAD_LINES])
    if "generated" not in head.lower():
        return None
    comments = comment_lines(head, language)
    for name, pattern in _phrases("phrases"):
        if pattern.search(" \n".join(line for _, line in comments)):
            return name
    for number, line in comments:
        if number < WEAK_LINES and _announces(line):
            return "starcoder2-phrase"
    return None


def _announces(line: str) -> bool:
    """One of the five phrases of The Stack v2, in a statement about this file."""
    return any(
        _is_about_this_file(line[: match.start()], line[match.end() :])
        for _, pattern in _phrases("weakPhrases")
        for match in pattern.finditer(line)
    )


def _is_about_this_file(before: str, after: str) -> bool:
    """False in the middle of a sentence about something else: "the ids are automatically generated"."""
    if not before.strip():
        return True
    if _TALKING.search(before) or not _GOES_ON.match(after):
        return False
    return _SAYING_IT_IS.search(before) is None or _OF_THIS_FILE.search(before) is not None


def _minified(_path: str, text: str) -> str | None:
    newlines = text.count("\n")
    return "minified" if (len(text) - newlines) // (newlines + 1) > MINIFIED_MEAN else None


def _source_map_reference(_path: str, text: str) -> str | None:
    tail = "\n".join(text.rsplit("\n", 2)[-2:])
    return "source-map-reference" if _MAP_REFERENCE.search(tail) else None


def _source_map(path: str, _text: str) -> str | None:
    return "source-map" if _MAP_NAME.search(path) else None


def _coffeescript(_path: str, text: str) -> str | None:
    """linguist/generated.rb, compiled_coffeescript?: the closure and the temporary names of the compiler."""
    if not (text.startswith("(function() {\n") and text.endswith("\n}).call(this);\n")):
        return None
    lines = [line for line in text.split("\n") if "var " in line]
    temporaries = sum(len(_COFFEE_TEMPORARY.findall(line)) for line in lines)
    functions = sum(len(_COFFEE_FUNCTION.findall(line)) for line in lines)
    return "coffeescript" if temporaries + 3 * functions >= COFFEE_SCORE else None


def _net_docfile(_path: str, text: str) -> str | None:
    head, tail = text.split("\n", 4), text.rsplit("\n", 2)
    found = len(head) > 3 and "<doc>" in head[1] and "<assembly>" in head[2] and "</doc>" in tail[-2]
    return "net-docfile" if found else None


def _vcr_cassette(_path: str, text: str) -> str | None:
    tail = text.rsplit("\n", 3)
    return "vcr-cassette" if len(tail) > 2 and "recorded_with: VCR" in tail[-2] else None


def _html_meta(_path: str, text: str) -> str | None:
    """linguist/generated.rb, generated_html?: <meta name="generator"> of a documentation tool."""
    head = " ".join(text.split("\n", 31)[:31])
    for tag in _META.findall(head) if "\n" in text else ():
        pairs = {key.lower(): value.strip("\"'") for key, value in _META_PAIR.findall(tag)}
        values = (pairs.get("content", ""), pairs.get("value", ""))
        if pairs.get("name", "").lower() == "generator" and any(map(_META_TOOL.match, values)):
            return "html-generator-tag"
    return None


_PREDICATES = {
    ".js": (_minified, _source_map_reference, _coffeescript),
    ".css": (_minified, _source_map_reference),
    ".map": (_source_map,),
    ".xml": (_net_docfile,),
    ".yml": (_vcr_cassette,),
    ".html": (_html_meta,),
    ".htm": (_html_meta,),
    ".xhtml": (_html_meta,),
}


def _extension(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    return name[name.rfind(".") :].lower() if "." in name[1:] else ""


@cache
def _path_rules() -> tuple[tuple[tuple[str, Matcher], ...], Matcher]:
    rules = rule_file("generated.json")["paths"]
    union = matcher("|".join(f"(?:{rule['pattern']})" for rule in rules))
    return tuple((rule["name"], matcher(rule["pattern"])) for rule in rules), union


@cache
def _content_rules() -> dict[str, list[_ContentRule]]:
    by_extension: dict[str, list[_ContentRule]] = {}
    for entry in rule_file("generated.json")["contents"]:
        rule = _content_rule(entry)
        for extension in entry["extensions"]:
            by_extension.setdefault(extension, []).append(rule)
    return by_extension


def _content_rule(entry: dict[str, Any]) -> _ContentRule:
    least = int(entry.get("lines", 1))
    return _ContentRule(
        entry["name"], int(entry.get("from", 0)), int(entry["first"]), least, matcher(entry["pattern"])
    )


@cache
def _phrases(group: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Each blank of a pattern stands for any white space, so that a phrase may run over a line's end."""
    return tuple(
        (rule["name"], re.compile(_bounded(rule["pattern"]).replace(" ", r"\s+"), re.I | re.M | re.S))
        for rule in rule_file("generated.json")[group]
    )


def _bounded(pattern: str) -> str:
    return pattern if pattern.startswith(("(?:^", "</", r"\b")) else rf"\b(?:{pattern})\b"
