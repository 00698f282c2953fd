"""RE2 patterns over bytes: compiling, iterating, and one automaton that tells which rules can match at all.

Owns the engine's options. Knows no rule. Patterns must keep to ASCII in everything a match may consume, so
that no match ends inside a character; tests hold this for every rule.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

# Room for the automaton's states. RE2 flushes and goes on when it is full; this is enough to do so rarely.
MAX_AUTOMATON_BYTES = 64 << 20


@functools.lru_cache(maxsize=1)
def _options() -> Any:
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # a byte is a character
    options.max_mem = MAX_AUTOMATON_BYTES
    options.log_errors = False
    return options


@functools.cache
def compiled(pattern: str) -> Any:
    """The compiled pattern; compiled once a process."""
    import re2

    return re2.compile(pattern.encode("ascii"), _options())


def matches(pattern: str, data: bytes) -> Iterator[Any]:
    """All matches from left to right; linear in the length of ``data``, whatever it holds."""
    found: Iterator[Any] = compiled(pattern).finditer(data)
    return found


def first(pattern: str, data: bytes) -> Any | None:
    """The first match, or None."""
    return compiled(pattern).search(data)


class Gates:
    """One automaton over the cheap heads of many rules: reads a text once, names the rules worth trying."""

    def __init__(self, heads: Sequence[str]) -> None:
        import re2

        self._set = re2.Set.SearchSet(_options())
        for head in heads:
            self._set.Add(head.encode("ascii"))
        self._set.Compile()

    def open_for(self, data: bytes) -> list[int]:
        """Indices of the heads that occur in ``data``."""
        return sorted(self._set.Match(data) or ())
