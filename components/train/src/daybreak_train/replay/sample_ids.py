"""The sample ids of one step as a short text: what a ledger's line keeps of its batch.

Owns that format. Each process's ids ascend, so gaps are written and not ids: the number of processes, then for each
the number of its ids, the first and the gaps, all as LEB128 varints, the whole in base64. At a batch of 512 of a
million samples that is 1.4 kB a step (two bytes a gap), of ten thousand samples 0.7 kB (one byte); a ledger's line is
0.3 kB without it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence

from daybreak_contracts.errors import ArtifactError

LARGEST = 1 << 48
"""No id, no count and no gap is as large: what is, is no text of ours."""


def encode(shares: Sequence[Iterable[int]]) -> str:
    """Return the text for the ids of each process, in the order of ranks; negative ids are no samples.

    >>> encode([[7, 3, 1000]]), decode(encode([[5, 4], [9, 9]]))
    ('AQMDBOEH', ((4, 5), (9, 9)))
    """
    out = bytearray(_varint(len(shares)))
    for share in shares:
        ids = sorted(sample for sample in map(int, share) if sample >= 0)
        out += _varint(len(ids))
        for before, sample in zip([0, *ids], ids, strict=False):
            out += _varint(sample - before)
    return base64.b64encode(out).decode()


def decode(text: str) -> tuple[tuple[int, ...], ...]:
    """Return the ids of each process, ascending; another text is an ArtifactError."""
    try:
        values = _values(base64.b64decode(text, validate=True))
        shares = tuple(_share(values) for _ in range(next(values)))
        if next(values, None) is not None:
            raise ValueError("more bytes than it says")
    except (binascii.Error, ValueError, StopIteration, RuntimeError) as error:
        raise ArtifactError(f"the ledger's sample ids {text[:20]!r} cannot be read: {error}") from error
    return shares


def _share(values: Iterator[int]) -> tuple[int, ...]:
    ids, last = [], 0
    for _ in range(next(values)):
        last += next(values)
        ids.append(last)
    return tuple(ids)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _values(data: bytes) -> Iterator[int]:
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if value >= LARGEST or shift > 56:
            raise ValueError("a number that is too large")
        if byte < 0x80:
            yield value
            value = shift = 0
    if shift:
        raise ValueError("ends within a number")
