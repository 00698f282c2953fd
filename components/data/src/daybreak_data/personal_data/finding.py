"""What was found: values with character offsets, and the way from byte offsets to them.

All rules work on UTF-8 bytes, because RE2 is several times faster there and its offsets are exact; this
module alone knows how bytes and characters relate. Does not know any rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["email", "ipAddress", "key"]

# A span that two rules claim goes to the first of these: losing a key is worse than losing an address.
KINDS: tuple[Kind, ...] = ("key", "email", "ipAddress")


@dataclass(frozen=True, slots=True)
class Detection:
    """One piece of personal data; ``text[start:end] == value``, offsets in characters."""

    kind: Kind
    start: int
    end: int
    rule: str
    value: str


@dataclass(frozen=True, slots=True)
class Span:
    """A finding in the UTF-8 bytes of the text; both ends lie between characters."""

    kind: Kind
    start: int
    end: int
    rule: str


def encode(text: str) -> bytes:
    """UTF-8; lone surrogates, which JSON escapes can produce, pass as their three bytes."""
    return text.encode("utf-8", "surrogatepass")


def without_overlaps(spans: Iterable[Span]) -> list[Span]:
    """Sort the spans; overlapping ones become one span over all of them, named by the strongest kind.

    The union, not the winner alone: nothing of the weaker one may stay behind in the text.
    """
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, KINDS.index(s.kind), -s.end, s.rule)):
        if not merged or span.start >= merged[-1].end:
            merged.append(span)
            continue
        last = merged.pop()
        strong = min(last, span, key=lambda s: KINDS.index(s.kind))
        merged.append(Span(strong.kind, last.start, max(last.end, span.end), strong.rule))
    return merged


def to_findings(text: str, data: bytes, spans: Iterable[Span]) -> list[Detection]:
    """Turn sorted spans without overlaps into findings, in one pass over the bytes."""
    findings = []
    if len(data) == len(text):  # ASCII: bytes are characters
        return [Detection(s.kind, s.start, s.end, s.rule, text[s.start : s.end]) for s in spans]
    chars = position = 0
    for span in spans:
        chars += len(data[position : span.start].decode("utf-8", "surrogatepass"))
        value = data[span.start : span.end].decode("utf-8", "surrogatepass")
        findings.append(Detection(span.kind, chars, chars + len(value), span.rule, value))
        chars += len(value)
        position = span.end
    return findings
