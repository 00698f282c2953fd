"""Connected components of a graph that fits one process, in numpy.

Pure: edges in, labels out, the label being the smallest member. The same answer as ``components`` gives for
graphs of any size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]


def bucket_stars(ids: I64, keys: I64) -> tuple[I64, I64]:
    """Edges from every member of a bucket to its smallest member.

    ``ids[i]`` lies in bucket ``keys[i]``. n - 1 edges for a bucket of n, however large; buckets of one give
    none.
    """
    order = np.lexsort((ids, keys))
    ids, keys = ids[order], keys[order]
    first = np.ones(len(keys), np.bool_)
    first[1:] = keys[1:] != keys[:-1]
    smallest = ids[np.flatnonzero(first)][np.cumsum(first) - 1]
    linked = ids != smallest
    return ids[linked], smallest[linked]


def label_components(left: I64, right: I64) -> tuple[I64, I64]:
    """Every vertex of the edges and the smallest vertex of its component.

    Minimum labels with pointer jumping (Shiloach and Vishkin 1982): each round hooks roots to smaller roots
    and then halves the paths until every vertex points at its root.
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
