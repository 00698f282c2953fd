"""Connected components: numpy in one task and Spark over many give the labels that union-find gives."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daybreak_data.duplicates.components import label_edges, label_signatures
from daybreak_data.duplicates.union import bucket_stars, label_components

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


@given(st.lists(st.tuples(VERTEX, VERTEX).filter(lambda edge: edge[0] != edge[1]), max_size=40))
def test_numpy_labels_are_those_of_union_find(edges: Edges) -> None:
    assert in_numpy(edges) == by_union_find(edges)


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 6)), max_size=40))
def test_a_bucket_becomes_a_star_with_one_edge_less_than_members(members: list[tuple[int, int]]) -> None:
    ids, keys = np.array(members, np.int64).reshape(-1, 2).T
    high, low = bucket_stars(ids, keys)
    buckets = {key: {i for i, k in members if k == key} for _, key in members}
    expected = {(i, min(bucket)) for bucket in buckets.values() for i in bucket if i != min(bucket)}
    assert set(zip(high.tolist(), low.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("edges", "partitions"),
    [
        pytest.param([], 1, id="no edge"),
        pytest.param([(1, 2)], 2, id="one edge"),
        pytest.param([(5, i) for i in range(6, 60)], 8, id="a star around its smallest"),
        pytest.param([(500, i) for i in range(60)], 2, id="a star around its largest"),
        pytest.param(chain(60, seed=0), 1, id="a chain in one partition"),
        pytest.param(chain(60, seed=0), 8, id="a chain in eight partitions"),
        pytest.param(
            [(random.Random(i).randrange(99), 100 + random.Random(-i).randrange(99)) for i in range(80)],
            2,
            id="a random graph",
        ),
    ],
)
def test_spark_labels_are_those_of_union_find(spark: SparkSession, edges: Edges, partitions: int) -> None:
    assert on_spark(spark, edges, partitions) == by_union_find(edges)


def test_one_task_and_many_label_signatures_alike(spark: SparkSession) -> None:
    rng = random.Random(3)
    rows = [(i * 7 - 500, [rng.randrange(150) for _ in range(2)]) for i in range(150)] + [(9999, [])]
    signatures = spark.createDataFrame(rows, "path_id long, bands array<long>").repartition(3)
    in_one, in_many = (
        {row.path_id: row.cluster_id for row in label_signatures(signatures, max_in_one_task=bound).collect()}
        for bound in (1000, 0)
    )
    assert in_one == in_many
    assert in_one
    assert 9999 not in in_one
