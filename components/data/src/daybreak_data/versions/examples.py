"""A few documents of each kind, chosen by seed and place, with the text that a person compares."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from daybreak_contracts import storage
from daybreak_data.tables import reading
from daybreak_data.tokenizer.sample import scrambled
from daybreak_data.versions import version as versions
from daybreak_data.versions.compare import ABSENT, Side
from daybreak_data.versions.pairing import ALONE, CHANGED, MOVED, NOBODY

EXAMPLES = 5
MAX_LINES = 40
MAX_CHARACTERS = 4000
PLACE = ("source", "repository", "path", "language")
DESCRIPTION = [*PLACE, "licence", "text"]

Chosen = Callable[[slice], npt.NDArray[np.bool_]]


def examples(out: Side, into: Side, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Return examples by kind; ``dropped`` are those of ``out`` that the second version read and dropped."""
    return {
        "out": [_whole(out, row) for row in _choose(out, lambda rows: _absent(out, rows), seed)],
        "dropped": [_whole(out, row) for row in _choose(out, lambda rows: _dropped(out, rows), seed)],
        "in": [
            _whole(into, row) for row in _choose(into, lambda rows: into.pairing.kinds[rows] == ALONE, seed)
        ],
        "changed": [
            _changed(out, into, row) for row in _choose(into, lambda rows: _is(into, rows, CHANGED), seed)
        ],
        "moved": [_moved(out, into, row) for row in _choose(into, lambda rows: _is(into, rows, MOVED), seed)],
    }


def _is(side: Side, rows: slice, kind: int) -> npt.NDArray[np.bool_]:
    return np.asarray(side.pairing.kinds[rows] == kind)


def _absent(side: Side, rows: slice) -> npt.NDArray[np.bool_]:
    return np.asarray(_is(side, rows, ALONE) & (side.reasons[rows] == 0))


def _dropped(side: Side, rows: slice) -> npt.NDArray[np.bool_]:
    return np.asarray(_is(side, rows, ALONE) & (side.reasons[rows] > 0))


def _choose(side: Side, wanted: Chosen, seed: int) -> list[int]:
    """Return the rows of the documents whose places hash lowest; the order of the files does not matter."""
    best: list[tuple[int, int]] = []
    begin = 0
    for batch in reading.scan(side.version.files(reading.DOCUMENTS), ["path_id"]):
        keep = np.flatnonzero(wanted(slice(begin, begin + batch.num_rows)))
        hashes = scrambled(versions.longs(batch, "path_id")[keep], seed)
        best += [(int(key), begin + int(row)) for key, row in zip(hashes, keep, strict=True)]
        best = sorted(best)[:EXAMPLES]
        begin += batch.num_rows
    return [row for _, row in best]


def _read(side: Side, row: int) -> dict[str, Any]:
    """Return one document: the file that holds its row is found by the files' numbers of rows."""
    import pyarrow.parquet as pq

    first = 0
    for file in side.version.files(reading.DOCUMENTS):
        fs, path = storage.filesystem(file)
        with fs.open(path, "rb") as reader:
            parquet = pq.ParquetFile(reader)
            for group in range(parquet.num_row_groups):
                length = parquet.metadata.row_group(group).num_rows
                if row < first + length:
                    table = parquet.read_row_group(group, columns=DESCRIPTION)
                    return dict(table.slice(row - first, 1).to_pylist()[0])
                first += length
    raise IndexError(f"{side.version.documents} has no document {row}")


def _whole(side: Side, row: int) -> dict[str, Any]:
    found = _read(side, row)
    reason = side.reason_names[side.reasons[row]]
    return {
        **_place(found),
        **({} if reason == ABSENT else {"reason": reason}),
        "text": shortened(found["text"]),
    }


def _changed(out: Side, into: Side, row: int) -> dict[str, Any]:
    new, old = _read(into, row), _read(out, _partner(into, row))
    lines = difflib.unified_diff(
        old["text"].splitlines(), new["text"].splitlines(), "before", "after", lineterm=""
    )
    return {**_place(new), "text": shortened("\n".join(lines))}


def _moved(out: Side, into: Side, row: int) -> dict[str, Any]:
    new, old = _read(into, row), _read(out, _partner(into, row))
    return {**_place(new), "from": _place(old), "text": shortened(new["text"])}


def _partner(side: Side, row: int) -> int:
    partner = int(side.pairing.partners[row])
    if partner == NOBODY:
        raise IndexError(f"document {row} stands for none")
    return partner


def _place(row: dict[str, Any]) -> dict[str, str]:
    return {name: row[name] or "" for name in PLACE}


def shortened(text: str) -> str:
    """Return the beginning of a text, as much as a person looks at.

    >>> shortened("one\\ntwo")
    'one\\ntwo'
    """
    lines = text.split("\n")
    short = "\n".join(lines[:MAX_LINES])[:MAX_CHARACTERS]
    return short if len(short) == len(text) else f"{short}\n..."
