"""How many documents, bytes and tokens came, went, changed and moved: in all, by language, source, licence, reason."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from daybreak_data.tables import reading
from daybreak_data.versions import version as versions
from daybreak_data.versions.compare import Side
from daybreak_data.versions.pairing import ALONE, CHANGED, MOVED, SAME

if TYPE_CHECKING:
    import pyarrow as pa

DIMENSIONS = ("language", "source", "licence")
UNKNOWN = "unknown"
MEASURES = ("documents", "bytes", "tokens")
KINDS = (ALONE, SAME, CHANGED, MOVED)

Sums = npt.NDArray[np.int64]
"""A row for each of ``KINDS``, a column for each of ``MEASURES``."""


def _zeros() -> Sums:
    return np.zeros((len(KINDS), len(MEASURES)), np.int64)


@dataclass(frozen=True)
class SideCounts:
    """Sums over the documents of one version."""

    total: Sums = field(default_factory=_zeros)
    groups: dict[str, dict[str, Sums]] = field(
        default_factory=lambda: {name: defaultdict(_zeros) for name in DIMENSIONS}
    )
    """Dimension to value to its sums."""
    reasons: dict[str, Sums] = field(default_factory=lambda: defaultdict(_zeros))
    """Why the other version does not keep what is alone here."""


def count(side: Side) -> SideCounts:
    """Read a version's documents once more, without their texts, and add them up."""
    counts, begin = SideCounts(), 0
    columns = [*DIMENSIONS, "size_bytes"]
    for batch in reading.scan(side.version.files(reading.DOCUMENTS), columns):
        rows = slice(begin, begin + batch.num_rows)
        kinds = side.pairing.kinds[rows]
        measured = [np.ones(batch.num_rows, np.int64), versions.longs(batch, "size_bytes"), side.tokens[rows]]
        _add(counts.total, kinds, measured)
        for name in DIMENSIONS:
            _add_groups(counts.groups[name], *_codes(batch, name), kinds, measured)
        alone = [np.where(kinds == ALONE, values, 0) for values in measured]
        _add_groups(counts.reasons, side.reasons[rows], side.reason_names, kinds, alone)
        begin += batch.num_rows
    return counts


def _codes(batch: pa.RecordBatch, name: str) -> tuple[npt.NDArray[np.int64], list[str]]:
    encoded = batch.column(name).fill_null("").dictionary_encode()
    return encoded.indices.to_numpy(), [value or UNKNOWN for value in encoded.dictionary.to_pylist()]


def _add(sums: Sums, kinds: npt.NDArray[np.uint8], measured: list[npt.NDArray[Any]]) -> None:
    for column, values in enumerate(measured):
        sums[:, column] += np.bincount(kinds, values, len(KINDS)).astype(np.int64)


def _add_groups(
    groups: dict[str, Sums],
    codes: npt.NDArray[Any],
    values: list[str],
    kinds: npt.NDArray[np.uint8],
    measured: list[npt.NDArray[Any]],
) -> None:
    for code in np.unique(codes):
        rows = codes == code
        _add(groups[values[code]], kinds[rows], [one[rows] for one in measured])


def described(out: SideCounts, into: SideCounts) -> dict[str, Any]:
    """Return the sums as JSON: ``before - out + in = after`` in every measure of documents, in all."""
    return {
        "total": _row(out.total, into.total),
        "by": {
            name: [
                {"value": value, **_row(out.groups[name][value], into.groups[name][value])}
                for value in sorted({*out.groups[name], *into.groups[name]})
            ]
            for name in DIMENSIONS
        },
        "reasons": {"out": _reasons(out), "in": _reasons(into)},
    }


def _row(out: Sums, into: Sums) -> dict[str, dict[str, int]]:
    """Return what a group had, what it has, and what became of it; what changed or moved is counted as it is now."""
    return {
        "before": _measures(out.sum(axis=0)),
        "out": _measures(out[ALONE]),
        "in": _measures(into[ALONE]),
        "changed": _measures(into[CHANGED]),
        "moved": _measures(into[MOVED]),
        "after": _measures(into.sum(axis=0)),
    }


def _reasons(counts: SideCounts) -> list[dict[str, Any]]:
    rows = [{"value": name, **_measures(sums[ALONE])} for name, sums in counts.reasons.items()]
    return sorted(
        (row for row in rows if row["documents"]), key=lambda row: (-row["documents"], row["value"])
    )


def _measures(values: npt.NDArray[np.int64]) -> dict[str, int]:
    return dict(zip(MEASURES, (int(value) for value in values), strict=True))
