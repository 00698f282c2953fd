"""Edit similarity: one minus the Levenshtein distance over the longer length.

Owns the arithmetic. The distance is the bit-parallel one of Myers 1999 in Hyyrö's form (2003), on Python integers.
"""

from __future__ import annotations


def distance(first: str, second: str) -> int:
    """Return the least number of characters to insert, delete or replace; ``kitten`` to ``sitting`` is 3."""
    if not first:
        return len(second)
    masks: dict[str, int] = {}
    for position, character in enumerate(first):
        masks[character] = masks.get(character, 0) | (1 << position)
    full, last = (1 << len(first)) - 1, 1 << (len(first) - 1)
    plus, minus, score = full, 0, len(first)
    for character in second:
        equal = masks.get(character, 0)
        vertical = equal | minus
        diagonal = (((equal & plus) + plus) ^ plus) | equal
        up = minus | ~(diagonal | plus) & full
        down = plus & diagonal
        score += bool(up & last) - bool(down & last)
        up = (up << 1 | 1) & full
        down = (down << 1) & full
        plus = down | ~(vertical | up) & full
        minus = up & vertical
    return score


def similarity(first: str, second: str) -> float:
    """Return 1 for equal texts, 0 for texts with nothing in common; two empty texts are equal."""
    longer = max(len(first), len(second))
    return 1.0 - distance(first, second) / longer if longer else 1.0
