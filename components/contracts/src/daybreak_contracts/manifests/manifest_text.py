"""YAML text to plain values with the place of each, as Kubernetes reads it; every mistake of the text is a Problem.

Bounded in size, depth and number of values (an alias counts as what it stands for). Refuses duplicate keys and
tags. Owns nothing of what the values mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from daybreak_contracts.manifests.problems import Location, Problem, path_text

MAX_BYTES = 1 << 20
"""An API server stores no object above 1.5 MiB."""
MAX_DEPTH = 64
MAX_VALUES = 100_000
TAG = "tag:yaml.org,2002:"
POWER_OF_TEN = re.compile(r"[-+]?[0-9]{1,20}(\.[0-9]{0,20})?[eE][-+]?[0-9]{1,3}")
"""As ``3e9``: a number for Kubernetes, text for PyYAML."""
LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class TextPosition:
    """Line and column, both from 1."""

    line: int
    column: int


@dataclass
class YamlDocument:
    """One object of a file."""

    value: Any
    places: dict[Location, TextPosition] = field(default_factory=dict)

    def place(self, location: Location) -> TextPosition:
        """Return where a location is written, or the nearest one above it that is."""
        while location and location not in self.places:
            location = location[:-1]
        return self.places.get(location, TextPosition(0, 0))


def read_documents(data: bytes, file: str) -> tuple[list[YamlDocument], list[Problem]]:
    """Return the objects of a YAML text and everything wrong with the text. Empty documents are left out."""
    text, problem = _decode(data, file)
    if problem is None:
        problem = _too_deep_or_many(text, file)
    if problem is not None:
        return [], [problem]
    documents: list[YamlDocument] = []
    problems: list[Problem] = []
    loader = LOADER(text)
    try:
        while loader.check_node():
            reader = _Reader(file, loader)
            value = reader.convert(loader.get_node(), (), 0)
            problems += reader.problems
            if value is not None:
                documents.append(YamlDocument(value, reader.places))
    except yaml.YAMLError as error:  # an alias without its anchor is only seen here
        problems.append(_syntax_problem(error, text, file))
    finally:
        loader.dispose()
    return documents, problems


def _decode(data: bytes, file: str) -> tuple[str, Problem | None]:
    if len(data) > MAX_BYTES:
        return "", Problem(file, 0, 0, "", f"larger than {MAX_BYTES:,} bytes, no manifest is")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return "", Problem(file, line, 1, "", "not UTF-8 text", remedy="save the file as UTF-8")
    at = text.find("\0")
    if at >= 0:
        place = _place_of(text, at)
        return "", Problem(file, place.line, place.column, "", "holds a NUL character", remedy="remove it")
    return text, None


def _too_deep_or_many(text: str, file: str) -> Problem | None:
    """Look at the stream of events, which needs no memory, before anything recursive sees the text."""
    depth = count = 0
    try:
        for event in yaml.parse(text, Loader=LOADER):
            count += 1
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > MAX_DEPTH:
                return _at_event(event, file, f"nested deeper than {MAX_DEPTH}")
            if count > 2 * MAX_VALUES:
                return _at_event(event, file, "more values than a manifest can hold")
    except yaml.YAMLError as error:
        return _syntax_problem(error, text, file)
    return None


def _at_event(event: yaml.Event, file: str, what: str) -> Problem:
    mark = event.start_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    return Problem(file, line, column, "", what)


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    place, what = TextPosition(0, 0), str(error).splitlines()[0]
    remedy = ""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            place = TextPosition(mark.line + 1, mark.column + 1)
        what = ": ".join(part for part in (error.context, error.problem) if part)
        if "\\t" in what or "'\t'" in what:
            remedy = "indent with spaces, not tabs"
    elif isinstance(error, yaml.reader.ReaderError):
        what = f"holds a character that YAML does not allow ({error.reason})"
        if isinstance(error.position, int):
            place = _place_of(text, error.position)
    return Problem(file, place.line, place.column, "", f"not valid YAML: {what}", remedy=remedy)


def _place_of(text: str, index: int) -> TextPosition:
    return TextPosition(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


class _Reader:
    """Turns the nodes of one document into values."""

    def __init__(self, file: str, constructor: Any) -> None:
        self._file = file
        self._constructor = constructor
        self._count = 0
        self.problems: list[Problem] = []
        self.places: dict[Location, TextPosition] = {}

    def convert(self, node: yaml.Node, location: Location, depth: int) -> Any:
        """Return the node's value; what is beyond the bounds becomes None and one problem."""
        self._count += 1
        self.places.setdefault(location, self._place(node))
        if self._count > MAX_VALUES or depth > MAX_DEPTH:
            if self._count < 2 * MAX_VALUES:  # once is enough
                self._problem(node, location, "aliases unfold to more than a manifest can hold")
                self._count = 2 * MAX_VALUES
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.convert(item, (*location, at), depth + 1) for at, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, location)

    def _mapping(self, node: yaml.MappingNode, location: Location, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, location, "a key must be text")
                continue
            if key.tag == f"{TAG}merge":
                merged = self._merge(value, location, depth) | merged
                continue
            name = str(key.value)
            here = (*location, name)
            if name in lines:
                self._problem(key, here, f"given twice, first in line {lines[name]}", "keep one of them")
                continue
            lines[name] = key.start_mark.line + 1
            self.places[here] = self._place(key)
            found[name] = self.convert(value, here, depth + 1)
        return merged | found

    def _merge(self, node: yaml.Node, location: Location, depth: int) -> dict[str, Any]:
        value = self.convert(node, location, depth + 1)
        merged: dict[str, Any] = {}
        for part in reversed(value if isinstance(value, list) else [value]):
            if isinstance(part, dict):
                merged |= part
            else:
                self._problem(node, location, "<< must be followed by a mapping")
        return merged

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Any:
        """Return a number, truth value, nothing or text. Dates and ``1:30`` are text, as for Kubernetes."""
        text = str(node.value)
        kind = node.tag.removeprefix(TAG)
        if kind == "null":
            return None
        if kind == "bool":
            return self._constructor.construct_yaml_bool(node)
        if kind in ("int", "float") and ":" not in text:
            return self._number(node, kind)
        if kind == "str" and not node.style and POWER_OF_TEN.fullmatch(text):
            return float(text)
        if kind not in ("str", "int", "float", "timestamp", "value"):
            self._problem(node, location, f"tag {node.tag} is not allowed", "remove it")
        return text

    def _number(self, node: yaml.Node, kind: str) -> Any:
        try:
            if kind == "int":
                return self._constructor.construct_yaml_int(node)
            return self._constructor.construct_yaml_float(node)
        except ValueError:  # thousands of digits, or a tag that its text does not fit
            return str(node.value)

    def _place(self, node: yaml.Node) -> TextPosition:
        return TextPosition(node.start_mark.line + 1, node.start_mark.column + 1)

    def _problem(self, node: yaml.Node, location: Location, message: str, remedy: str = "") -> None:
        place = self._place(node)
        self.problems.append(
            Problem(self._file, place.line, place.column, path_text(location), message, remedy=remedy)
        )
