"""Which dropped and kept files a person reads to judge the rules: a seeded sample, even over reasons and languages.

Pure: rows in, rows out. Small groups are taken whole, what they leave goes to the larger ones, so that a rare reason is
seen as well as a common one.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def quotas(sizes: Mapping[Any, int], wanted: int) -> dict[Any, int]:
    """Return how many to take of each group: the same of each, no more than it has, ``wanted`` in all if there are.

    >>> quotas({"a": 1, "b": 10, "c": 10}, 9)
    {'a': 1, 'b': 4, 'c': 4}
    """
    left, taken = min(wanted, sum(sizes.values())), dict.fromkeys(sizes, 0)
    while left:
        open_groups = [group for group, size in sizes.items() if taken[group] < size]
        each = max(1, left // len(open_groups))
        for group in open_groups:
            more = min(each, sizes[group] - taken[group], left)
            taken[group] += more
            left -= more
    return taken


def sample(rows: Sequence[Row], keys: tuple[str, ...], wanted: int, seed: int) -> list[Row]:
    """Return ``wanted`` rows: first even over the values of the first key, inside these over the second, and so on.

    The same rows give the same sample in whatever order they come.
    """
    ordered = sorted(rows, key=lambda row: (row["repository"], row["path"]))
    if not keys:
        return sorted(
            random.Random(seed).sample(ordered, min(wanted, len(ordered))),
            key=lambda row: (row["repository"], row["path"]),
        )
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in ordered:
        groups[str(row[keys[0]])].append(row)
    takes = quotas({name: len(groups[name]) for name in sorted(groups)}, wanted)
    return [row for name in sorted(groups) for row in sample(groups[name], keys[1:], takes[name], seed)]


def kept_for(clusters: Sequence[Row]) -> dict[int, Row]:
    """Return for the path id of each dropped near-duplicate the file that is kept, with the similarity of the two."""
    rows = [row for row in clusters if row["kind"] == "Near"]
    kept = {row["cluster_id"]: row for row in rows if row["kept"]}
    return {
        row["path_id"]: {**kept[row["cluster_id"]], "similarity": row["similarity"]}
        for row in rows
        if not row["kept"]
    }
