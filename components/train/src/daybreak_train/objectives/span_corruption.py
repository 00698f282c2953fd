"""Span corruption: which tokens of a text are masked, and the two halves that are made of it.

Raffel et al. 2020 (T5, arXiv 1910.10683, section 3.1.4): the numbers of masked tokens and of spans follow from the
length; where the spans lie is drawn. Owns no mixture and no fitting into a sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def span_counts(length: int, corruption: float, mean_span: int) -> tuple[int, int]:
    """Return how many of ``length`` tokens are masked, and in how many spans.

    >>> span_counts(512, 0.15, 3)
    (77, 26)
    >>> span_counts(1, 0.15, 3)
    (1, 1)
    """
    num_masked = min(max(round(length * corruption), 1), max(1, length - 1))
    num_spans = min(max(round(num_masked / mean_span), 1), num_masked, length - num_masked + 1)
    return num_masked, num_spans


def expanded_length(length: int, corruption: float, mean_span: int) -> int:
    """Return how long a corrupted text and its targets are together: each span has a sentinel in both.

    >>> expanded_length(512, 0.15, 3)
    564
    """
    _, num_spans = span_counts(length, corruption, mean_span)
    return length + 2 * num_spans


def span_mask(length: int, num_masked: int, num_spans: int, raws: NDArray[np.uint64]) -> Mask:
    """Return a mask with exactly so many masked tokens and spans; each such mask is as likely as any other.

    T5 always starts with a text that is kept and ends with a span, so that of a short text always the end is masked;
    here text may stand before, between and behind the spans, and only between them it must. ``raws`` are ``length``
    draws of 64 bits.
    """
    kept = length - num_masked
    spans = _parts(num_masked, num_spans, raws[: num_masked - 1])
    # one more kept token at either end, taken away again, lets the outer parts be empty
    between = _parts(kept + 2, num_spans + 1, raws[num_masked - 1 :])
    between[0] -= 1
    between[-1] -= 1
    lengths = np.empty(2 * num_spans + 1, dtype=np.int64)
    lengths[0::2], lengths[1::2] = between, spans
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)


def _parts(total: int, count: int, raws: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Divide ``total`` into ``count`` parts of at least one, evenly among all ways: ``count - 1`` of the places between
    its tokens are cuts, those with the smallest draws.
    """
    chosen = np.argsort(raws[: total - 1], kind="stable")[: count - 1]
    cuts = np.sort(chosen) + 1
    return np.diff(np.concatenate(([0], cuts, [total])))


def split_by_mask(ids: Sequence[int], mask: Mask, sentinels: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the text with a sentinel for each masked span, and the targets: each sentinel with its span.

    The n-th span has the n-th sentinel; there must be enough of them.
    """
    inputs: list[int] = []
    targets: list[int] = []
    num_spans, inside = 0, False
    for token, masked in zip(ids, mask.tolist(), strict=True):
        if masked and not inside:
            inputs.append(sentinels[num_spans])
            targets.append(sentinels[num_spans])
            num_spans += 1
        inside = masked
        (targets if masked else inputs).append(token)
    return inputs, targets


def joined(inputs: Sequence[int], targets: Sequence[int], sentinels: Sequence[int]) -> list[int]:
    """Return the text that was split: the inverse of ``split_by_mask``."""
    known = set(sentinels)
    spans: dict[int, list[int]] = {}
    current: list[int] = []
    for token in targets:
        if token in known:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    ids: list[int] = []
    for token in inputs:
        ids.extend(spans[token] if token in known else [token])
    return ids
