"""Which of similar files are kept: none goes unless a file that stays is as similar as the threshold says.

Owns the greedy choice: files in the order of preference, each kept unless one that is kept already has a Jaccard
similarity of at least the threshold to it (the lexicographically first maximal independent set). Sketches propose,
the sets of 5-grams decide. Pure; gets the members of a component one after another and remembers those it keeps.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daybreak_data.duplicates.signatures import NUM_PERMUTATIONS, similarity
from daybreak_data.duplicates.word_grams import I64, U64

# The sketch errs by 0.03: of the pairs at the threshold one in a thousand is put lower than this below it.
SLACK = 0.1
ALL_COMPARED = 1024
"""Kept files of a component with which every later one is compared. Components are smaller, nearly always."""
COMPARED_IN_BUCKET = 64
"""Of the other kept files, those that share a band: at most so many a band, so that the work stays linear."""


@dataclass(frozen=True)
class Member:
    """A file of a component; ``grams`` are sorted and unique."""

    path_id: int
    sketch: NDArray[np.uint8]
    bands: I64
    grams: U64


class Keepers:
    """The files of one component that are kept so far."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._path_ids: list[int] = []
        self._grams: list[U64] = []
        self._sketches = np.zeros((16, NUM_PERMUTATIONS), np.uint8)
        self._buckets: defaultdict[int, list[int]] = defaultdict(list)

    def place(self, member: Member) -> tuple[int, float]:
        """Return the kept file that stands for this one and their similarity: itself and 1.0 when it is kept.

        Of several that are similar enough, the first in the order of their sketches' similarity stands for it.
        """
        candidates = self._candidates(member)
        estimates = similarity(self._sketches[candidates], member.sketch[None, :])
        # A stable order: equal estimates keep the order of preference.
        for place in np.argsort(-estimates, kind="stable").tolist():
            if estimates[place] < self._threshold - SLACK:
                break
            number = int(candidates[place])
            likeness = jaccard(self._grams[number], member.grams, self._threshold)
            if likeness >= self._threshold:
                return self._path_ids[number], likeness
        self._keep(member)
        return member.path_id, 1.0

    def _candidates(self, member: Member) -> NDArray[np.intp]:
        count = len(self._path_ids)
        if count <= ALL_COMPARED:
            return np.arange(count)
        sharing = {number for band in member.bands.tolist() for number in self._buckets.get(band, ())}
        return np.array([*range(ALL_COMPARED), *sorted(sharing)], np.intp)

    def _keep(self, member: Member) -> None:
        number = len(self._path_ids)
        if number == len(self._sketches):
            self._sketches = np.concatenate([self._sketches, np.zeros_like(self._sketches)])
        self._sketches[number] = member.sketch
        self._path_ids.append(member.path_id)
        self._grams.append(member.grams)
        if number < ALL_COMPARED:
            return
        for band in member.bands.tolist():
            bucket = self._buckets[band]
            if len(bucket) < COMPARED_IN_BUCKET:
                bucket.append(number)


def jaccard(left: U64, right: U64, least: float = 0.0) -> float:
    """Return the similarity of two sorted sets; 0 without a look where their sizes keep it below ``least``."""
    small, large = sorted((left, right), key=len)
    if not len(small) or len(small) < least * len(large):
        return 0.0
    places = np.minimum(np.searchsorted(large, small), len(large) - 1)
    common = int(np.count_nonzero(large[places] == small))
    return common / (len(small) + len(large) - common)
