"""What the filters look at: a text and its measures, each computed once and only if a rule asks.

Owns the measuring, in bytes and built-in string methods (no loop over characters in Python).
Does not own thresholds; they stand in limits.py, starcoder2.py and opencoder.py.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from daybreak_data.rules.limits import Limits, published

_LETTERS = string.ascii_letters.encode()
_DIGITS = string.digits.encode()
_ASCII = bytes(range(128))
_WHITE = b" \t\n\r\v\f"


class MeasuredText:
    """A file's text, language key and path; ``None`` where the language is not known."""

    def __init__(self, text: str, language: str | None, path: str, limits: Limits | None = None) -> None:
        """Nothing is measured here; without ``limits`` the published ones of the language hold."""
        self.text = text
        self.language = language
        self.path = path
        self.limits = limits if limits is not None else published(language)

    @cached_property
    def data(self) -> bytes:
        """UTF-8; a lone surrogate becomes ``?``, since no rule looks at it."""
        return self.text.encode("utf-8", "replace")

    @cached_property
    def lines(self) -> list[str]:
        """Lines without their ends."""
        return self.text.splitlines()

    @cached_property
    def filled_lines(self) -> list[str]:
        """Lines that hold something, without the white space around it."""
        return [line for line in map(str.strip, self.lines) if line]

    @cached_property
    def longest_line(self) -> int:
        """Characters of the longest line."""
        return max(map(len, self.lines), default=0)

    @cached_property
    def mean_line(self) -> float:
        """Mean number of characters of a line."""
        return sum(map(len, self.lines)) / len(self.lines) if self.lines else 0.0

    @cached_property
    def _beyond_ascii(self) -> str:
        return "" if self.text.isascii() else self.data.translate(None, _ASCII).decode("utf-8")

    @cached_property
    def letters(self) -> int:
        """Characters that are letters in any script."""
        ascii_letters = len(self.data) - len(self.data.translate(None, _LETTERS))
        return ascii_letters + sum(map(str.isalpha, self._beyond_ascii))

    @cached_property
    def digits(self) -> int:
        """ASCII digits."""
        return len(self.data) - len(self.data.translate(None, _DIGITS))

    @cached_property
    def white(self) -> int:
        """ASCII white space."""
        return len(self.data) - len(self.data.translate(None, _WHITE))

    @cached_property
    def words(self) -> list[str]:
        """What white space separates."""
        return self.text.split()

    def share(self, count: float) -> float:
        """``count`` characters as a share of the text."""
        return count / len(self.text) if self.text else 0.0


@dataclass(frozen=True)
class FilterRule:
    """A sentence-named check, and the reason that is counted when it gives a detail."""

    reason: str
    check: Callable[[MeasuredText], str | None]
