"""Edit similarity: one minus the Levenshtein distance over the longer length. The distance is rapidfuzz's."""

from __future__ import annotations

from rapidfuzz.distance import Levenshtein


def similarity(first: str, second: str) -> float:
    """Return 1 for equal texts, 0 for texts with nothing in common; two empty texts are equal.

    Not rapidfuzz's own ratio: the division is done here, so that scores stay the same to the last bit.
    """
    longer = max(len(first), len(second))
    return 1.0 - Levenshtein.distance(first, second) / longer if longer else 1.0
