"""The documents, or parts of documents, that lie in a row of held-out tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from daybreak_model.token_rows import Tokens


def documents_in(row: Tokens, end_of_text: int, pad: int) -> Iterator[Sequence[int]]:
    """Yield the documents, or parts of documents, that lie in one row."""
    start = 0
    values = row[row != pad]
    for end in [*np.flatnonzero(values == end_of_text), len(values)]:
        if end > start:
            yield values[start:end].tolist()
        start = int(end) + 1
