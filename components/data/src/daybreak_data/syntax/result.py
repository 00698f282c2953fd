"""What a parser says of a text. A value that the parsers and their callers share; it decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "error", "skipped"]


@dataclass(frozen=True)
class SyntaxResult:
    """``detail`` is "line 3: message" for an error, the reason for skipped.

    ``tags`` holds ``header``, ``templated``, ``dialect``, ``newer``, ``python2``, ``comments``, ``cells``
    or ``fragment``.
    """

    verdict: Verdict
    parser: str
    detail: str = ""
    tags: tuple[str, ...] = ()


def error(parser: str, line: int | None, message: str) -> SyntaxResult:
    """An error at a line (counted from 1), with a message of one line."""
    place = f"line {line}: " if line else ""
    return SyntaxResult("error", parser, place + " ".join(str(message).split())[:200])


def skipped(parser: str, reason: str) -> SyntaxResult:
    """The parser could not say."""
    return SyntaxResult("skipped", parser, reason)
