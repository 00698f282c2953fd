"""Guesses which known name was meant by one that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question with the nearest known word, or nothing when none is near."""
    choices = {choice.lower(): choice for choice in known}
    near = difflib.get_close_matches(word.replace("_", "").lower(), choices, n=1, cutoff=0.6)
    return f"did you mean {choices[near[0]]}?" if near else ""
