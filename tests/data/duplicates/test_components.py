"""Connected components: numpy in one task and Spark over many give the labels that union-find gives."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from daybreak_data.duplicates.components import label_edges, label_signatures
from daybreak_data.duplicates.signatures import NUM_PERMUTATIONS
from daybreak_data.duplicates.union import label_components, similar_stars

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Edges = list[tuple[int, int]]
VERTEX = st.integers(-20, 20)


def by_union_find(edges: Edges) -> dict[int, int]:
    parent: dict[int, int] = {}

    def root(vertex: int) -> int:
        while parent.setdefault(vertex, vertex) != vertex:
            vertex = parent[vertex]
        return vertex

    for left, right in edges:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
    return {vertex: root(vertex) for vertex in parent}


def in_numpy(edges: Edges) -> dict[int, int]:
    left, right = np.array(edges, np.int64).reshape(-1, 2).T
    vertices, labels = label_components(left, right)
    return dict(zip(vertices.tolist(), labels.tolist(), strict=True))


def on_spark(spark: SparkSession, edges: Edges, partitions: int) -> dict[int, int]:
    rows = [(max(edge), min(edge)) for edge in edges]
    frame = spark.createDataFrame(rows, "high long, low long").repartition(partitions)
    return {row.path_id: row.cluster_id for row in label_edges(frame).collect()}


def chain(length: int, seed: int) -> Edges:
    """A path through vertices in random order: the hardest shape for labels that travel along edges."""
    order = random.Random(seed).sample(range(1000), length)
    return list(itertools.pairwise(order))


@pytest.mark.slow
@given(st.lists(st.tuples(VERTEX, VERTEX).filter(lambda edge: edge[0] != edge[1]), max_size=40))
def test_numpy_labels_are_those_of_union_find(edges: Edges) -> None:
    assert in_numpy(edges) == by_union_find(edges)


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 6)), max_size=40))
def test_a_bucket_becomes_a_star_with_one_edge_less_than_members(members: list[tuple[int, int]]) -> None:
    ids, keys = np.array(members, np.int64).reshape(-1, 2).T
    high, low = similar_stars(ids, keys, lambda left, right: left >= right, rounds=1)
    buckets = {key: {i for i, k in members if k == key} for _, key in members}
    expected = {(i, min(bucket)) for bucket in buckets.values() for i in bucket if i != min(bucket)}
    assert set(zip(high.tolist(), low.tolist(), strict=True)) == expected


def test_members_unlike_the_smallest_meet_each_other_in_the_next_round() -> None:
    def same_parity(high: NDArray[np.int64], low: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray(high % 2 == low % 2)

    ids, keys = np.array([2, 3, 4, 5, 6, 7]), np.zeros(6, np.int64)
    high, low = similar_stars(ids, keys, same_parity, rounds=4)
    assert set(zip(high.tolist(), low.tolist(), strict=True)) == {(4, 2), (6, 2), (5, 3), (7, 3)}


SHAPES: dict[str, Edges] = {
    "one edge": [(1, 2)],
    "a star around its smallest": [(5, i) for i in range(6, 60)],
    "a star around its largest": [(500, i) for i in range(60)],
    "a chain": chain(60, seed=0),
    "a random graph": [
        (random.Random(i).randrange(99), 100 + random.Random(-i).randrange(99)) for i in range(80)
    ],
}
# Side by side in one graph: every shape has numbers of its own.
ALL_SHAPES = [
    (left + 10_000 * shape, right + 10_000 * shape)
    for shape, edges in enumerate(SHAPES.values())
    for left, right in edges
]


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [1, 8])
def test_spark_labels_are_those_of_union_find(spark: SparkSession, partitions: int) -> None:
    assert on_spark(spark, ALL_SHAPES, partitions) == by_union_find(ALL_SHAPES)


def test_no_edge_has_no_label(spark: SparkSession) -> None:
    assert on_spark(spark, [], 1) == {}


@pytest.mark.slow
def test_one_task_and_many_label_signatures_alike(spark: SparkSession) -> None:
    # Few sketches in few buckets: many members of a bucket are unlike its smallest.
    rng = random.Random(3)
    kinds = [rng.randbytes(NUM_PERMUTATIONS) for _ in range(4)]
    rows = [(i * 7 - 500, [rng.randrange(40), 50 + rng.randrange(40)], rng.choice(kinds)) for i in range(150)]
    schema = "path_id long, bands array<long>, sketch binary"
    signatures = spark.createDataFrame([*rows, (9999, [], b"")], schema).repartition(3)
    in_one, in_many = (
        {row.path_id: row.cluster_id for row in label_signatures(signatures, 0.7, in_one_task=one).collect()}
        for one in (True, False)
    )
    assert in_one == in_many
    assert len(set(in_one.values())) > 4
    assert 9999 not in in_one
    sketch_of = {path_id: sketch for path_id, _, sketch in rows}
    assert all(sketch_of[path_id] == sketch_of[label] for path_id, label in in_one.items())
