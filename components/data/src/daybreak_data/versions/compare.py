"""Compares two versions document by document, a share of their keys at a time.

Owns the order of the passes and what is known of each document afterwards (about 20 bytes). Counts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from daybreak_data.tables import reading
from daybreak_data.tokenizer.sample import Longs
from daybreak_data.versions import version as versions
from daybreak_data.versions.pairing import ALONE, Keys, Pairing, pair_contents, pair_places, pairs
from daybreak_data.versions.version import Version

ABSENT = "absent"
"""Reason of a document that the other version does not know: neither kept nor dropped."""


@dataclass(frozen=True)
class Side:
    """One version, and what became of its documents in the other one; arrays have a row for each document."""

    version: Version
    pairing: Pairing
    tokens: npt.NDArray[np.int32]
    """Length in the shards, all copies together; 0 where there are none."""
    reasons: npt.NDArray[np.int16]
    """Why the other version does not keep what is alone here: a position in ``reason_names``."""
    reason_names: list[str] = field(default_factory=lambda: [ABSENT])

    @classmethod
    def of(cls, version: Version) -> Side:
        """Return a side of which nothing is known yet."""
        rows = versions.count_rows(version)
        return cls(version, Pairing.of(rows), np.zeros(rows, np.int32), np.zeros(rows, np.int16))

    def reason_code(self, name: str) -> int:
        """Return the position of a reason, which is added when it is new."""
        if name not in self.reason_names:
            self.reason_names.append(name)
        return self.reason_names.index(name)


def compare(before: Version, after: Version) -> tuple[Side, Side]:
    """Return what became of the documents of both versions."""
    out, into = Side.of(before), Side.of(after)
    shares = versions.num_passes(len(out.tokens) + len(into.tokens))
    for share in range(shares):
        left, right = (versions.keys_by_place(one, share, shares) for one in (before, after))
        pair_places(left, right, out.pairing, into.pairing)
        for side, keys, other in ((out, left, after), (into, right, before)):
            _note_tokens(side, keys, share, shares)
            _note_reasons(side, keys, other, (share, shares))
    for share in range(shares):
        left, right = (versions.keys_by_content(one, share, shares) for one in (before, after))
        pair_contents(left, right, out.pairing, into.pairing)
    return out, into


def _note_tokens(side: Side, keys: Keys, share: int, shares: int) -> None:
    places, counts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for place, count in versions.token_counts(side.version):
        keep = versions.chosen(place, share, shares)
        places.append(place[keep])
        counts.append(count[keep])
    distinct, inverse = np.unique(np.concatenate(places), return_inverse=True)
    sums = np.bincount(
        inverse, np.concatenate(counts), len(distinct)
    )  # a mixture writes a document several times
    mine, theirs = _pairs_of_places(keys.places, distinct)
    side.tokens[keys.rows[mine]] = sums[theirs]


def _note_reasons(side: Side, keys: Keys, other: Version, share: tuple[int, int]) -> None:
    """Note why the other version dropped what is alone here."""
    alone = side.pairing.kinds[keys.rows] == ALONE
    rows, wanted = keys.rows[alone], keys.places[alone]
    places, codes = [np.empty(0, np.int64)], [np.empty(0, np.int16)]
    for batch in reading.scan(other.files(reading.DROPS), ["path_id", "reason"]):
        place = versions.longs(batch, "path_id")
        keep = np.flatnonzero(versions.chosen(place, *share) & np.isin(place, wanted))
        names = batch.column("reason").take(keep).to_pylist()
        places.append(place[keep])
        codes.append(np.array([side.reason_code(name) for name in names], np.int16))
    mine, theirs = _pairs_of_places(wanted, np.concatenate(places))
    side.reasons[rows[mine]] = np.concatenate(codes)[theirs]


def _pairs_of_places(left: Longs, right: Longs) -> tuple[Longs, Longs]:
    return pairs(left.view(np.uint64), right.view(np.uint64))
