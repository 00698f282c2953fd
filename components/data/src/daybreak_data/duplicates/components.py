"""Connected components of the near-duplicate graph, on Spark.

Alternating large-star and small-star (Kiveris et al., Connected Components in MapReduce and Beyond, 2014) over
DataFrames; a graph below a bound is solved by ``union`` in one Arrow task. Both give the same labels, whatever
the order and the number of partitions. Does not know what the vertices are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

LABEL_COLUMNS = "path_id long, cluster_id long"
# Signatures that one Arrow task takes: 25 keys of 16 bytes each, sorted and linked in less than 1 GiB.
MAX_IN_ONE_TASK = 400_000

Checkpoint = Callable[["DataFrame"], "DataFrame"]


def local_checkpoint(frame: DataFrame) -> DataFrame:
    """Cut the lineage at the executors' own disks: enough where executors do not come and go."""
    return frame.localCheckpoint(eager=True)


def label_signatures(
    signatures: DataFrame, checkpoint: Checkpoint = local_checkpoint, max_in_one_task: int = MAX_IN_ONE_TASK
) -> DataFrame:
    """Label what shares a band, over any number of steps: ``path_id``, ``bands`` in, ``LABEL_COLUMNS`` out.

    Only members of components of two or more come back; the label is the smallest member.
    """
    from pyspark.sql import functions as f

    if signatures.count() <= max_in_one_task:
        return signatures.repartition(1).mapInArrow(_label_in_one_task, LABEL_COLUMNS)
    keys = signatures.select("path_id", f.explode("bands").alias("key"))
    # Most keys stand alone: they go before anything is joined. A bucket becomes a star, never all pairs.
    smallest = keys.groupBy("key").agg(f.min("path_id").alias("low"), f.count("*").alias("members"))
    shared = smallest.where("members > 1")
    edges = keys.join(shared, "key").where("path_id != low").select(f.col("path_id").alias("high"), "low")
    return label_edges(edges.distinct(), checkpoint)


def _label_in_one_task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    import numpy as np
    import pyarrow as pa

    from daybreak_data.duplicates.union import bucket_stars, label_components

    ids, keys = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for batch in batches:
        bands = batch.column("bands")
        ids.append(np.repeat(batch.column("path_id").to_numpy(), bands.value_lengths().to_numpy()))
        keys.append(bands.flatten().to_numpy())
    vertices, labels = label_components(*bucket_stars(np.concatenate(ids), np.concatenate(keys)))
    schema = pa.schema([("path_id", pa.int64()), ("cluster_id", pa.int64())])
    yield pa.RecordBatch.from_arrays([pa.array(vertices), pa.array(labels)], schema=schema)


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
