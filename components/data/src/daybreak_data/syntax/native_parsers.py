"""The parsers of the standard library and of libyaml as judges of a text; nothing is built or executed.

Owns: how each is kept from crashing, expanding entities, following aliases or warning.
Does not own: the caps in bytes and seconds (syntax.py).
"""

from __future__ import annotations

import json
import re
import symtable
import textwrap
import tomllib
import warnings

from daybreak_data.syntax import grammars, newer_json, newer_python, newer_toml, newer_yaml, words
from daybreak_data.syntax.result import SyntaxResult, error, skipped

DEEPEST_FLOW = 500
"""libyaml takes quadratic time for nested brackets: 100,000 of them 54 s (measured); files have under 50."""

MOST_DOTS = 1000
"""tomllib takes quadratic time for a key of many parts: 130,000 of them 42 s (measured)."""

# What Python 2 has and Python 3 refuses: print and exec statements, "except E, e", backticks, octal 0777,
# long 10L, "<>", raise with a comma, ur"", parameters that unpack, tabs that count as eight blanks.
_PYTHON_2 = re.compile(
    r"^\s*(?:else\s*:|try\s*:|(?:if|for|while|def|class)\b.*:|\w+\s*=.*;)?\s*(?:print(?:\s+[^\s(=.]|\s*>>|\s*$|\s*\()|exec\s+[\w\"'(])"
    r"|\bexcept\s+[\w.()\s,]+,\s*[\w.]+\s*:|`[^`\n]+`|(?<![\w.])0[0-7]+\b|(?<![\w.])(?:0[xX][0-9a-fA-F]+|\d+)[lL]\b"
    r"|<>|^\s*raise\s+[\w.]+\s*,|(?<!\w)[uU][rR][\"']|\bdef\s+\w+\s*\([^)]*\(|\blambda\s*\("
)
_COMMENT_OR_STRING = re.compile(r"\"(?:\\.|[^\"\\])*\"|//[^\n]*|/\*(?:.*?\*/|.*)", re.DOTALL)
_TRAILING_COMMA = re.compile(r"\"(?:\\.|[^\"\\])*\"|,(?=\s*[}\]])", re.DOTALL)


def check_python(text: str, path: str) -> SyntaxResult:
    """CPython's own parser and symbol pass (``symtable``: what ``ast`` refuses and more, 6 times faster).

    Where it refuses, a second opinion: ok with the tag ``newer`` if it reads the text once syntax of later versions is
    rewritten; ok with the tag ``python2`` if the refused line shows a construct of Python 2 only and tree-sitter,
    whose grammar knows both, reads the whole file without an error.
    """
    found = _compile(text, path)
    if not isinstance(found, SyntaxError):
        return found
    older = newer_python.rewritten(text)
    again = found if older is None else _compile(older, path)
    if again == _READ:
        return SyntaxResult("ok", "cpython", tags=("newer",))
    if _is_python_2(text, found):
        return SyntaxResult("ok", "tree-sitter-python", tags=("python2",))
    fault = again if isinstance(again, SyntaxError) else found
    return error("cpython", fault.lineno, fault.msg)


_READ = SyntaxResult("ok", "cpython")


def _compile(text: str, path: str) -> SyntaxResult | SyntaxError:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            symtable.symtable(text, path.rsplit("/", 1)[-1] or "text", "exec")
    except SyntaxError as fault:
        return fault
    except ValueError as fault:  # NUL bytes, lone surrogates
        return error("cpython", None, str(fault))
    except (RecursionError, MemoryError):  # CPython's parser says "too complex" with either
        return skipped("cpython", "nested too deeply for CPython's parser")
    return _READ


def _is_python_2(text: str, fault: SyntaxError) -> bool:
    if isinstance(fault, TabError):
        return grammars.is_clean(text, "python")
    lines = text.splitlines()
    number = (fault.lineno or 0) - 1
    if not 0 <= number < len(lines) or not _PYTHON_2.search(lines[number]):
        return False
    return grammars.is_clean(text, "python")


def check_script_of_notebook(text: str, path: str) -> SyntaxResult:
    """The script of a notebook (rules/notebooks.py): Python unless its first line says otherwise."""
    other = _KERNEL.match(text)
    if other:
        return skipped("none", f"a notebook in {other.group(1)}")
    whole = check_python(text, path)
    if whole.verdict != "error":
        return whole
    faults = 0
    cells = [cell for cell in _CELL.split(text) if not _NO_PROGRAM.fullmatch(cell)]
    for cell in cells:
        faults += check_python(textwrap.dedent(cell), path).verdict == "error"
    return (
        whole
        if faults > MOST_FAULTY_CELLS * len(cells)
        else SyntaxResult("ok", "cpython", whole.detail, ("cells",))
    )


MOST_FAULTY_CELLS = 0.34
"""Share of a notebook's cells. Each is a program of its own; a tutorial shows what does not work, and half a call."""
_KERNEL = re.compile(r"(?:#|//) %% kernel (\S+)\n")
_CELL = re.compile(r"^# %%(?: \[markdown\])?\n", re.MULTILINE)
_NO_PROGRAM = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*")


def check_json(text: str, path: str) -> SyntaxResult:
    """One JSON value, or one a line: tools that write and read such files call them ``.json``, too."""
    if path.endswith((".jsonl", ".ndjson", ".jsonlines")):
        return _json_lines(text)
    found = _one_json(text)
    if found.verdict != "error":
        return found
    if found.detail.endswith("Extra data") and _json_lines(text).verdict == "ok":
        return SyntaxResult("ok", "json", tags=("lines",))
    if _without_comments(text).verdict == "ok":  # editors and tools write them into any .json
        return SyntaxResult("ok", "json", tags=("comments",))
    return _json5(text, found)


def _json_lines(text: str) -> SyntaxResult:
    for number, line in enumerate(text.splitlines(), 1):
        found = _one_json(line) if line.strip() else None
        if found is not None and found.verdict != "ok":
            return error("json", number, found.detail) if found.verdict == "error" else found
    return SyntaxResult("ok", "json")


def check_json_with_comments(text: str, _path: str) -> SyntaxResult:
    """JSON after comments and trailing commas are blanked out (lines stay where they are), or JSON5."""
    found = _without_comments(text)
    return _json5(text, found) if found.verdict == "error" else found


def _without_comments(text: str) -> SyntaxResult:
    without = _COMMENT_OR_STRING.sub(_blank_comment, text)
    return _one_json(
        _TRAILING_COMMA.sub(lambda match: "" if match.group() == "," else match.group(), without)
    )


def _json5(text: str, otherwise: SyntaxResult) -> SyntaxResult:
    again = _one_json(newer_json.as_json(text))
    return SyntaxResult("ok", "json", tags=("json5",)) if again.verdict == "ok" else otherwise


def _blank_comment(match: re.Match[str]) -> str:
    found = match.group()
    return found if found.startswith('"') else "\n" * found.count("\n") + " "


def _one_json(text: str) -> SyntaxResult:
    try:
        json.loads(text, parse_int=float)  # an int of more than 4,300 digits would raise
    except json.JSONDecodeError as fault:
        return error("json", fault.lineno, fault.msg)
    except RecursionError:
        return skipped("json", "nested too deeply")
    return SyntaxResult("ok", "json")


def check_toml(text: str, _path: str) -> SyntaxResult:
    """TOML 1.0; what only 1.1 allows is ok with the tag ``newer``."""
    if max((line.count(".") for line in text.splitlines()), default=0) > MOST_DOTS:
        return skipped("tomllib", f"a line with more than {MOST_DOTS} dots")
    found = _read_toml(text)
    if found.verdict != "error":
        return found
    again = _read_toml(newer_toml.older_toml(text))
    return (
        found
        if again.verdict == "error"
        else SyntaxResult(again.verdict, "tomllib", again.detail, ("newer",))
    )


def _read_toml(text: str) -> SyntaxResult:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        line = re.search(r"\(at line (\d+)", str(fault))
        return error("tomllib", int(line.group(1)) if line else None, str(fault))
    except RecursionError:
        return skipped("tomllib", "nested too deeply")
    except ValueError as fault:  # an integer of more than 4,300 digits, a day that is not in the calendar
        return error("tomllib", None, str(fault))
    return SyntaxResult("ok", "tomllib")


def check_yaml(text: str, _path: str) -> SyntaxResult:
    """YAML as events: no tag is constructed, no alias followed. What only 1.2 allows is ok with the tag ``newer``."""
    found = _read_yaml(text)
    if found.verdict != "error":
        return found
    older = newer_yaml.older_yaml(text)
    again = found if older == text else _read_yaml(older)
    return (
        found
        if again.verdict == "error"
        else SyntaxResult(again.verdict, "libyaml", again.detail, ("newer",))
    )


def _read_yaml(text: str) -> SyntaxResult:
    import yaml

    if grammars.nesting(text.encode("utf-8", "surrogatepass"), b"[{", b"]}") > DEEPEST_FLOW:
        return skipped("libyaml", f"brackets nested deeper than {DEEPEST_FLOW}")
    try:
        for _ in yaml.parse(text, Loader=yaml.CSafeLoader):
            pass
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        return error("libyaml", mark.line + 1 if mark else None, fault.problem or fault.context or "not YAML")
    except (yaml.YAMLError, UnicodeError) as fault:  # control characters, lone surrogates
        return error("libyaml", None, str(fault))
    return SyntaxResult("ok", "libyaml")


class _EntityDeclaredError(Exception):
    """Raised out of expat at the first entity declaration."""


def check_xml(text: str, path: str) -> SyntaxResult:
    """Well-formed XML; a text that declares entities is not read further (they may multiply).

    A fragment that other files include has several roots, entities that they declare, or declarations only: ok with
    the tag ``fragment``.
    """
    found = _read_xml(text)
    if found.verdict != "error":
        return found
    if path.endswith(".mjml"):  # what its tags hold is a browser's HTML
        torn = words.find_cut(text, "html", path)
        return error("html", None, torn) if torn else skipped("html", found.detail)
    if not (_MARKUP.search(text) and _BEGINS_AS_MARKUP.match(text)):
        return skipped("expat", "XML by its name alone: nothing in it is markup")
    body = _XML_DECLARATION.sub("", text, count=1)
    if _DECLARATIONS.match(body):
        return skipped("expat", "declarations for other documents")
    if _PREPROCESSED.search(text):
        return SyntaxResult("skipped", "expat", "lines of a preprocessor", ("templated",))
    whole = _read_xml(f"<fragment>{_ENTITY.sub('', _DOCTYPE.sub('', body, count=1))}</fragment>")
    return SyntaxResult("ok", "expat", tags=("fragment",)) if whole.verdict == "ok" and "<" in body else found


_BEGINS_AS_MARKUP = re.compile(r"[\s\ufeff]*[<&%#{@]")  # else a test called .tml, a Makefile called .targets
_MARKUP = re.compile(r"<[A-Za-z!?/][^<>]*>|<[A-Za-z!?/][^<>]*\Z")
_XML_DECLARATION = re.compile(r"\A\s*<\?xml\b[^>]*\?>")
_PREPROCESSED = re.compile(r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef|endif)\b", re.MULTILINE)
_DOCTYPE = re.compile(r"<!DOCTYPE\b[^<>\[]*>")
_ENTITY = re.compile(r"&(?!(?:lt|gt|amp|quot|apos);)[A-Za-z_][\w.-]*;")
_DECLARATIONS = re.compile(
    r"\A(?:\s+|<!--(?:(?!-->).)*-->)*(?:<!(?:ENTITY|ELEMENT|ATTLIST|NOTATION|\[)|%[\w.-]+;)", re.DOTALL
)


def _read_xml(text: str) -> SyntaxResult:
    from xml.parsers import expat

    parser = expat.ParserCreate()

    def refuse(*declaration: object) -> None:
        raise _EntityDeclaredError(str(declaration[0]))

    parser.EntityDeclHandler = refuse
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    try:
        parser.Parse(text.encode("utf-8", "replace").decode("utf-8"), True)
    except expat.ExpatError as fault:
        return error("expat", fault.lineno, expat.ErrorString(fault.code))
    except _EntityDeclaredError as fault:
        line = parser.CurrentLineNumber
        return skipped("expat", f"line {line}: declares the entity {str(fault)[:40]!r}; entities are refused")
    return SyntaxResult("ok", "expat")
