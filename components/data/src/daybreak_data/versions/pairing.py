"""Which documents of two versions belong together: the same, changed, moved, or alone. Pure, on arrays of hashes.

A document is alone on one side when nothing on the other stands for it: out of the first, in the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from daybreak_data.tokenizer.sample import Hashes, Longs, scrambled

ALONE, SAME, CHANGED, MOVED = range(4)
NOBODY = -1

Kinds = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Keys:
    """What is compared of documents, a row each."""

    rows: Longs
    """Their numbers within the version."""
    places: Longs
    """Ids of source, repository and path."""
    contents: Hashes


@dataclass(frozen=True)
class Pairing:
    """What became of each document of one version."""

    kinds: Kinds
    partners: Longs
    """The other version's row that stands for it, or ``NOBODY``."""

    @classmethod
    def of(cls, num_rows: int) -> Pairing:
        """Return a pairing in which everyone is alone."""
        return cls(np.full(num_rows, ALONE, np.uint8), np.full(num_rows, NOBODY, np.int64))

    def note(self, rows: Longs, partners: Longs, kind: int) -> None:
        """Keep what was found of some rows."""
        self.kinds[rows] = kind
        self.partners[rows] = partners


def pairs(left: Hashes, right: Hashes) -> tuple[Longs, Longs]:
    """Return the positions of equal keys in both; each is used once, equal ones in their order.

    >>> [found.tolist() for found in pairs(np.array([7, 5, 7, 7], "u8"), np.array([9, 7, 7, 5], "u8"))]
    [[1, 0, 2], [3, 1, 2]]
    """
    left_order, right_order = (np.argsort(keys, kind="stable") for keys in (left, right))
    lefts, rights = left[left_order], right[right_order]
    rank = np.arange(len(lefts)) - np.searchsorted(lefts, lefts)
    at = np.searchsorted(rights, lefts) + rank
    found = at < np.searchsorted(rights, lefts, side="right")
    return left_order[found], right_order[at[found]]


def pair_places(left: Keys, right: Keys, out: Pairing, into: Pairing) -> None:
    """Note in both pairings which documents have the same place: first those with the same content, too."""
    both = [scrambled(keys.places, 1) ^ keys.contents for keys in (left, right)]
    _note(left, right, pairs(both[0], both[1]), SAME, (out, into))
    left, right = _alone(left, out), _alone(right, into)
    found = pairs(left.places.view(np.uint64), right.places.view(np.uint64))
    _note(left, right, found, CHANGED, (out, into))


def pair_contents(left: Keys, right: Keys, out: Pairing, into: Pairing) -> None:
    """Note in both pairings which documents that are still alone have the same content in another place."""
    left, right = _alone(left, out), _alone(right, into)
    _note(left, right, pairs(left.contents, right.contents), MOVED, (out, into))


def _alone(keys: Keys, pairing: Pairing) -> Keys:
    left = pairing.kinds[keys.rows] == ALONE
    return Keys(keys.rows[left], keys.places[left], keys.contents[left])


def _note(
    left: Keys, right: Keys, found: tuple[Longs, Longs], kind: int, pairings: tuple[Pairing, Pairing]
) -> None:
    rows, partners = left.rows[found[0]], right.rows[found[1]]
    pairings[0].note(rows, partners, kind)
    pairings[1].note(partners, rows, kind)
