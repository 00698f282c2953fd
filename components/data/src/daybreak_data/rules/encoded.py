"""How much of a text is encoded data: base64, hexadecimal bytes, escapes of Unicode.

Owns StarCoder2's three patterns and what they take for base64 although it is none: banners, paths, lists of words,
long names. Pure. Does not own how much is too much (starcoder2.py).
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

_BASE64 = rb"[a-zA-Z0-9+/\n=]{64,}"
_OTHERS = (
    rb"(?:\b(?:0x|\\x)?[0-9a-fA-F]{2}(?:,|\b\s*)){8,}",
    rb"(?:\\u[0-9a-fA-F]{4}){8,}",
)
LEAST_LINE = 40
"""Shorter lines are words: base64 is wrapped at 48 (OpenPGP), 64 (PEM) or 76 (MIME)."""
LONGEST_PART = 24
"""Between two slashes of base64 stand 62 characters on average, in a path a name stands there."""
MOST_SIGNS = 0.2
"""Of random base64 3 % are ``+`` or ``/``; a banner has nothing else."""
_UPPER, _LOWER, _DIGITS = (
    kind.encode() for kind in (string.ascii_uppercase, string.ascii_lowercase, string.digits)
)
_HEX = re.compile(rb"[0-9a-f]+|[0-9A-F]+")
_WORDS = re.compile(rb"[A-Z]?[a-z]{3,}|[A-Z]{3,}(?![a-z])")
MOST_WORDS = 0.75
"""Share of runs of three small letters: random base64 has 0.35, CamelCase nearly 1."""


def encoded_lengths(data: bytes) -> Iterator[list[int]]:
    """Yield the lengths of the encoded runs of each kind; nothing is yielded where there can be none."""
    if not _has_any()(data):
        return
    base64, *others = _patterns()
    yield [length for match in base64.finditer(data) for length in _lengths_of_base64(match.group())]
    for pattern in others:
        yield [end - start for start, end in (match.span() for match in pattern.finditer(data))]


def _lengths_of_base64(run: bytes) -> list[int]:
    """Lengths of the pieces of a run that are base64: neighbouring lines that look like it, ends of lines counted."""
    lengths: list[int] = []
    length = 0
    for line in run.split(b"\n"):
        # The last line of a block is as long as it happens to be.
        if _looks_encoded(line) or (length and 0 < len(line) < LEAST_LINE and _could_end_block(line)):
            length += len(line) + 1
        elif length:
            lengths.append(length - 1)
            length = 0
    return [*lengths, length - 1] if length else lengths


def _could_end_block(line: bytes) -> bool:
    return line.endswith(b"=") or sum(bool(set(line) & set(kind)) for kind in (_UPPER, _LOWER, _DIGITS)) > 1


def _looks_encoded(line: bytes) -> bool:
    if len(line) < LEAST_LINE:
        return False
    if _HEX.fullmatch(line):
        return len(set(line)) > 6 and bool(set(line) & set(_DIGITS))
    signs = line.count(b"/") + line.count(b"+") + line.count(b"=")
    if signs > MOST_SIGNS * len(line) and not _is_sparse(line):
        return False
    parts = [part for part in line.split(b"/") if part]
    if len(parts) > 2 and len(line) / len(parts) < LONGEST_PART and _share_of_words(line) > 0.5:
        return False
    kinds = sum(bool(set(line) & set(kind)) for kind in (_UPPER, _LOWER, _DIGITS))
    return kinds > 1 and len(set(line)) > 6 and _share_of_words(line) <= MOST_WORDS


def _is_sparse(line: bytes) -> bool:
    """Pictures are full of ``/////`` and ``AAAAA``, with other characters between them."""
    return len(set(line)) > 12


def _share_of_words(line: bytes) -> float:
    return sum(map(len, _WORDS.findall(line))) / len(line)


@cache
def _has_any() -> Callable[[bytes], Any]:
    import re2

    search: Callable[[bytes], Any] = re2.compile(b"|".join((_BASE64, *_OTHERS))).search
    return search


@cache
def _patterns() -> tuple[Any, ...]:
    import re2

    return tuple(re2.compile(pattern) for pattern in (_BASE64, *_OTHERS))
