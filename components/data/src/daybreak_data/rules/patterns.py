"""Regular expressions of the rule files, on the linear engine where it can compile them.

Owns: the choice between re2 (linear time) and ``regex`` with a time limit (look-arounds), and loading
of the rule files. Does not own: what a rule means.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

TIMEOUT_SECONDS = 2.0
"""For the few patterns with look-arounds; a pattern that runs out of time does not match."""

Matcher = Callable[[str], bool]


@cache
def rule_file(name: str) -> Any:
    """The content of a file in ``daybreak_data/rules``."""
    return json.loads((resources.files("daybreak_data") / "rules" / name).read_text(encoding="utf-8"))


@cache
def matcher(pattern: str) -> Matcher:
    """A predicate "the pattern occurs"; ``^`` and ``$`` match at every line, as in Ruby."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(b"(?m)" + pattern.encode("ascii"), options)
    except re2.error:
        return _with_lookarounds(pattern)
    # On bytes: faster, and a file name with bytes that are not UTF-8 (lone surrogates in Python) passes.
    return lambda text: compiled.search(text.encode("utf-8", "surrogatepass")) is not None


def _with_lookarounds(pattern: str) -> Matcher:
    import regex

    compiled = regex.compile(pattern, regex.MULTILINE | regex.VERSION1 | regex.ASCII)

    def matches(text: str) -> bool:
        try:
            return compiled.search(text, timeout=TIMEOUT_SECONDS) is not None
        except TimeoutError:
            return False

    return matches
