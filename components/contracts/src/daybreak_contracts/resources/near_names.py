"""Guesses which known name was meant by one that nobody knows."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHORTEST_PART = 4
"""Letters from which on a part of a name says which one is meant."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest; one that alone holds the word (`vllm`) where none is spelt nearly so."""
    choices = {choice.lower(): choice for choice in known}
    short = word.replace("_", "").lower()
    near = difflib.get_close_matches(short, choices, n=1, cutoff=0.6)
    holding = [choice for choice in choices if len(short) >= SHORTEST_PART and short in choice]
    if near:
        return choices[near[0]]
    return choices[holding[0]] if len(holding) == 1 else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a question with the nearest known word, or nothing when none is near."""
    near = nearest(word, known)
    return f"did you mean {near}?" if near else ""
