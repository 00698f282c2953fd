"""What is wrong with a manifest: one value per mistake, and how it reads on a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from daybreak_contracts.resources.rules import without_password

Location = tuple[str | int, ...]
"""Keys and list positions from the top of an object, as ``("spec", "data", "sources", 1)``."""
MAX_SHOWN = 80


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file."""

    file: str
    line: int
    """From 1; 0 when the whole file is meant."""
    column: int
    path: str
    """Field path, as ``spec.data.sources[1].git.urls[0]``; empty for mistakes of the text itself."""
    message: str
    """The rule that is broken."""
    got: str = ""
    """The value that breaks it, shortened."""
    remedy: str = ""
    """What to do; empty where the message says it."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        subject = f"{self.path}: " if self.path else ""
        found = f", got {self.got}" if self.got else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{place}: {subject}{self.message}{found}{remedy}"


def render(problems: Iterable[Problem]) -> str:
    """Return one line per problem, in the order of the text."""
    return "\n".join(str(problem) for problem in sorted(problems))


def path_text(location: Location) -> str:
    """Return a location as it is written in messages: ``spec.data.sources[1].name``."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", part):
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
    return text


def value_text(value: Any) -> str:
    """Return a value for a message: shortened, on one line, without the password of a URL."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = without_password(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
