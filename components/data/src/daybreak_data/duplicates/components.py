"""Connected components of the near-duplicate graph, on Spark.

Alternating large-star and small-star (Kiveris et al., Connected Components in MapReduce and Beyond, 2014) over
DataFrames; a graph below a bound is solved by ``union`` in one Arrow task. Both give the same labels, whatever
the order and the number of partitions. Does not know what the vertices are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial, reduce
from typing import TYPE_CHECKING, cast

from daybreak_data.duplicates.signatures import NUM_PERMUTATIONS, similarity

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

    from daybreak_data.duplicates.union import I64

LABEL_COLUMNS = "path_id long, cluster_id long"
# Signatures that one Arrow task takes: 25 keys of 16 bytes and a sketch each, linked in about 1 GiB.
MAX_IN_ONE_TASK = 400_000
# Bands find candidates; one that shares a band has a Jaccard similarity below 0.6 in one of eight cases on real
# code (generated clients resemble each other). The sketch tells them apart: it errs by 0.03, so what it puts
# 0.05 below the threshold still counts, and next to nothing is lost. ``keepers`` compares the texts afterwards.
SLACK = 0.05
ROUNDS = 4
_COMPARED_COLUMNS = "high long, low long, similar boolean"
_PAIRS_AT_ONCE = 65_536

Checkpoint = Callable[["DataFrame"], "DataFrame"]


def local_checkpoint(frame: DataFrame) -> DataFrame:
    """Cut the lineage at the executors' own disks: enough where executors do not come and go."""
    return frame.localCheckpoint(eager=True)


def label_signatures(
    signatures: DataFrame,
    threshold: float,
    checkpoint: Checkpoint = local_checkpoint,
    *,
    in_one_task: bool = False,
) -> DataFrame:
    """Label what shares a band and is similar, over any number of steps.

    ``path_id``, ``bands``, ``sketch`` in, ``LABEL_COLUMNS`` out. Only members of components of two or more come
    back; the label is the smallest member.
    """
    if in_one_task:
        task = partial(_label_in_one_task, least=threshold - SLACK)
        return signatures.repartition(1).mapInArrow(task, LABEL_COLUMNS)
    return label_edges(_similar_stars(signatures, threshold - SLACK, checkpoint), checkpoint)


def _label_in_one_task(batches: Iterator[pa.RecordBatch], least: float) -> Iterator[pa.RecordBatch]:
    import numpy as np
    import pyarrow as pa

    from daybreak_data.duplicates.union import label_components, similar_stars

    ids, keys, owners = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    sketches = [_rows_of([])]
    for batch in batches:
        path_ids, bands = batch.column("path_id").to_numpy(), batch.column("bands")
        num_bands = bands.value_lengths().to_numpy()
        ids.append(np.repeat(path_ids, num_bands))
        keys.append(bands.flatten().to_numpy())
        owners.append(path_ids[num_bands > 0])  # who has no band has an empty sketch
        sketches.append(_rows_of(batch.column("sketch").to_pylist()))
    owner, rows = np.concatenate(owners), np.concatenate(sketches)
    order = np.argsort(owner)

    def are_similar(high: I64, low: I64) -> NDArray[np.bool_]:
        left, right = (order[np.searchsorted(owner, side, sorter=order)] for side in (high, low))
        parts = range(0, len(left), _PAIRS_AT_ONCE)
        near = [similarity(*(rows[side[i : i + _PAIRS_AT_ONCE]] for side in (left, right))) for i in parts]
        return np.concatenate(near) >= least

    edges = similar_stars(np.concatenate(ids), np.concatenate(keys), are_similar, ROUNDS)
    vertices, labels = label_components(*edges)
    schema = pa.schema([("path_id", pa.int64()), ("cluster_id", pa.int64())])
    yield pa.RecordBatch.from_arrays([pa.array(vertices), pa.array(labels)], schema=schema)


def _rows_of(sketches: list[bytes]) -> NDArray[np.uint8]:
    import numpy as np

    return np.frombuffer(b"".join(sketches), np.uint8).reshape(-1, NUM_PERMUTATIONS)


def _similar_stars(signatures: DataFrame, least: float, checkpoint: Checkpoint) -> DataFrame:
    """Do what ``union.similar_stars`` does, for any number of buckets: ``high``, ``low`` out."""
    from pyspark.sql import functions as f

    sketches = signatures.select("path_id", "sketch")
    left, right = sketches.toDF("high", "left"), sketches.toDF("low", "right")
    keys = signatures.select("path_id", f.explode("bands").alias("key"))
    found: list[DataFrame] = []
    for _ in range(ROUNDS):
        # Most keys stand alone: they go before anything is joined.
        smallest = keys.groupBy("key").agg(f.min("path_id").alias("low"), f.count("*").alias("members"))
        members = keys.join(smallest.where("members > 1"), "key").where("path_id != low")
        members = checkpoint(members.select(f.col("path_id").alias("high"), "low", "key"))
        pairs = members.select("high", "low").distinct().join(left, "high").join(right, "low")
        compared = checkpoint(pairs.mapInArrow(partial(_compare, least=least), _COMPARED_COLUMNS))
        found.append(compared.where("similar").select("high", "low"))
        failed = compared.where("NOT similar").select("high", "low")
        keys = members.join(failed, ["high", "low"], "left_semi").selectExpr("high AS path_id", "key")
    return reduce(lambda some, more: some.unionByName(more), found).distinct()


def _compare(batches: Iterator[pa.RecordBatch], least: float) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    for batch in batches:
        left, right = (_rows_of(batch.column(side).to_pylist()) for side in ("left", "right"))
        similar = pa.array(similarity(left, right) >= least)
        columns = [batch.column("high"), batch.column("low"), similar]
        yield pa.RecordBatch.from_arrays(columns, ["high", "low", "similar"])


def label_edges(edges: DataFrame, checkpoint: Checkpoint = local_checkpoint) -> DataFrame:
    """Label the components of a graph of any size: ``high``, ``low`` (high > low) in, ``LABEL_COLUMNS`` out.

    Runs until a round changes nothing, which is when every edge points at its component's smallest vertex.
    """
    edges = checkpoint(edges)
    before = _shape(edges)
    while True:
        edges = checkpoint(_small_star(_large_star(edges)))
        after = _shape(edges)
        if after == before:
            break
        before = after
    roots = edges.selectExpr("low AS path_id", "low AS cluster_id").distinct()
    return edges.selectExpr("high AS path_id", "low AS cluster_id").unionByName(roots)


def _shape(edges: DataFrame) -> tuple[int, int, int]:
    """Count and two order-free sums: unchanged only when the set of edges is."""
    from pyspark.sql import functions as f

    row = edges.agg(
        f.count("*"),
        f.coalesce(f.sum(f.shiftright(f.xxhash64("high", "low"), 24)), f.lit(0)),
        f.coalesce(f.bit_xor(f.xxhash64("low", "high")), f.lit(0)),
    ).first()
    return cast("tuple[int, int, int]", tuple(row or (0, 0, 0)))


def _large_star(edges: DataFrame) -> DataFrame:
    """Link every larger neighbour of a vertex to the smallest of the vertex and its neighbours."""
    from pyspark.sql import functions as f

    both = edges.selectExpr("high AS centre", "low AS other").unionByName(
        edges.selectExpr("low AS centre", "high AS other")
    )
    smallest = both.groupBy("centre").agg(f.least(f.min("other"), f.first("centre")).alias("root"))
    linked = both.where("other > centre").join(smallest, "centre")
    return linked.selectExpr("other AS high", "root AS low")


def _small_star(edges: DataFrame) -> DataFrame:
    """Link a vertex and its smaller neighbours to the smallest of them."""
    from pyspark.sql import functions as f

    smallest = edges.groupBy("high").agg(f.min("low").alias("root"))
    neighbours = edges.join(smallest, "high").where("low != root").selectExpr("low AS high", "root AS low")
    return neighbours.unionByName(smallest.selectExpr("high", "root AS low")).distinct()
