"""Stars and connected components of a graph that fits one process, in numpy.

Pure: members of buckets in, edges and labels out, the label being the smallest member. The same answer as
``components`` gives for graphs of any size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
AreSimilar = Callable[[I64, I64], NDArray[np.bool_]]


def similar_stars(ids: I64, keys: I64, are_similar: AreSimilar, rounds: int) -> tuple[I64, I64]:
    """Edges from members of a bucket to its smallest member, where the two are similar indeed.

    ``ids[i]`` lies in bucket ``keys[i]``. Members that are not similar to the smallest try again among
    themselves in the next round: at most ``rounds`` comparisons a member and bucket, however large the bucket.
    """
    high, low = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for _ in range(rounds):
        ids, keys, smallest = _stars(ids, keys)
        if not len(ids):
            break
        pairs, places = np.unique(np.stack([ids, smallest], axis=1), axis=0, return_inverse=True)
        similar = are_similar(pairs[:, 0], pairs[:, 1])
        high.append(pairs[similar, 0])
        low.append(pairs[similar, 1])
        again = ~similar[places.reshape(-1)]
        ids, keys = ids[again], keys[again]
    return np.concatenate(high), np.concatenate(low)


def _stars(ids: I64, keys: I64) -> tuple[I64, I64, I64]:
    """Every member but the smallest of its bucket, the bucket, and the smallest."""
    order = np.lexsort((ids, keys))
    ids, keys = ids[order], keys[order]
    first = np.ones(len(keys), np.bool_)
    first[1:] = keys[1:] != keys[:-1]
    smallest = ids[np.flatnonzero(first)][np.cumsum(first) - 1]
    others = ids != smallest
    return ids[others], keys[others], smallest[others]


def label_components(left: I64, right: I64) -> tuple[I64, I64]:
    """Every vertex of the edges and the smallest vertex of its component.

    Minimum labels with pointer jumping (Shiloach and Vishkin 1982): each round hooks roots to smaller roots
    and then shortens the paths until every vertex points at its root.
    """
    vertices, flat = np.unique(np.concatenate([left, right]), return_inverse=True)
    ends = flat.reshape(2, -1)
    parent = np.arange(len(vertices))
    while True:
        roots = parent[ends]
        high, low = roots.max(axis=0), roots.min(axis=0)
        open_edges = high != low
        if not open_edges.any():
            return vertices, vertices[parent]
        np.minimum.at(parent, high[open_edges], low[open_edges])
        ends = ends[:, open_edges]
        parent = _shortened(parent)


def _shortened(parent: NDArray[np.intp]) -> NDArray[np.intp]:
    while True:
        grand = parent[parent]
        if np.array_equal(grand, parent):
            return parent
        parent = grand
