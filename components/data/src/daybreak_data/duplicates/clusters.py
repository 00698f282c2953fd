"""Clusters of duplicates as a table, and which file of each is kept.

Owns the order of preference: a permissive licence, then the shorter path, then the smaller id. A cluster is a file
that is kept and those that go for it. The same clusters come out for any order and partitioning of the input. Does
not remove anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from daybreak_data.duplicates import keepers
from daybreak_data.duplicates.components import (
    MAX_IN_ONE_TASK,
    Checkpoint,
    label_signatures,
    local_checkpoint,
)
from daybreak_data.duplicates.signatures import DEFAULT_THRESHOLD, GRAM_WORDS, compared_texts
from daybreak_data.duplicates.word_grams import gram_sets
from daybreak_data.tables import schemas

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

    from daybreak_data.duplicates.word_grams import I64

CLUSTER_COLUMNS = (
    "cluster_id",
    "kind",
    "path_id",
    "source",
    "repository",
    "path",
    "language",
    "size_bytes",
    "kept",
    "similarity",
)
_DESCRIPTION = ("path_id", "source", "repository", "path", "language", "licence", "size_bytes")
MAX_BROADCAST_MEMBERS = 200_000
"""Descriptions of so many members, 600 bytes each, are sent to where the texts are; above, the texts travel."""
Texts = Callable[["I64"], "DataFrame"]
"""Given sorted ids, returns a table with ``path_id`` and ``text`` of those documents."""
# SPDX identifiers of licences that ask for no more than a notice (Blue Oak Council's list, its usual members).
_PERMISSIVE_IDS = """
mit mit-0 apache-2.0 bsd-2-clause bsd-3-clause bsd-3-clause-clear 0bsd isc unlicense cc0-1.0 zlib bsl-1.0 python-2.0
psf-2.0 ncsa x11 wtfpl upl-1.0 postgresql blueoak-1.0.0 artistic-2.0 libpng hpnd openssl ruby php-3.01 afl-3.0 ms-pl
"""
PERMISSIVE = frozenset(_PERMISSIVE_IDS.split())


def find_exact_duplicates(documents: DataFrame) -> DataFrame:
    """Clusters (``CLUSTER_COLUMNS``) of documents with the same ``document_id``; only clusters of two or more.

    Takes the columns of the documents table, of which ``text`` is not read.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    same = Window.partitionBy("document_id")
    described = documents.select("document_id", *_DESCRIPTION)
    members = described.withColumns(
        {"members": f.count("*").over(same), "cluster_id": f.min("path_id").over(same)}
    )
    return _as_exact(members.where("members > 1"))


def find_near_duplicates(
    signatures: DataFrame,
    documents: DataFrame,
    texts: Texts,
    threshold: float = DEFAULT_THRESHOLD,
    *,
    checkpoint: Checkpoint = local_checkpoint,
    max_in_one_task: int = MAX_IN_ONE_TASK,
) -> DataFrame:
    """Clusters (``CLUSTER_COLUMNS``) of a document and those that go because they are as similar to it as asked.

    ``signatures`` has ``path_id``, ``bands`` and ``sketch``, made for the same threshold; rows whose ``path_id``
    is not among ``documents`` are left out, so signatures of whole sources can be given after exact duplicates
    are gone. ``texts`` is asked for the members of components only.
    """
    described = documents.select(*_DESCRIPTION)
    present = signatures.join(described.select("path_id"), "path_id", "left_semi")
    labels = label_signatures(
        present.select("path_id", "bands", "sketch"),
        threshold,
        checkpoint,
        in_one_task=signatures.count() <= max_in_one_task,
    )
    labels = checkpoint(labels.withColumnRenamed("cluster_id", "component"))
    members = _members(labels, described, present, texts)
    # Texts come in the order of preference, so that a task holds no more than the files that it keeps.
    ordered = members.repartition("component").sortWithinPartitions("component", *_preference())
    return ordered.mapInArrow(partial(_choose, threshold=threshold), schemas.spark_schema(schemas.CLUSTERS))


def _members(labels: DataFrame, described: DataFrame, signatures: DataFrame, texts: Texts) -> DataFrame:
    import numpy as np
    from pyspark.sql import functions as f

    signed = signatures.select("path_id", "bands", "sketch")
    about = labels.join(described, "path_id").join(signed, "path_id")
    path_ids = np.sort(labels.select("path_id").toArrow().column(0).to_numpy())
    few = len(path_ids) <= MAX_BROADCAST_MEMBERS
    return texts(path_ids).join(f.broadcast(about) if few else about, "path_id")


def _choose(batches: Iterator[pa.RecordBatch], threshold: float) -> Iterator[pa.RecordBatch]:
    """Turn the members of components, one component after another, into clusters."""
    import pyarrow as pa

    schema = schemas.arrow_schema(schemas.CLUSTERS)
    rows = (row for batch in batches for row in _rows(batch))
    for _, members in itertools.groupby(rows, key=lambda item: item[0]["component"]):
        yield pa.RecordBatch.from_pylist(_clusters_of(members, threshold), schema=schema)


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[dict[str, Any], keepers.Member]]:
    import numpy as np

    rows = batch.drop_columns(["text"]).to_pylist()
    texts = compared_texts(batch.column("text").to_pylist(), [row["language"] or "" for row in rows])
    for row, grams in zip(rows, gram_sets(texts, GRAM_WORDS), strict=True):
        sketch, bands = np.frombuffer(row["sketch"], np.uint8), np.array(row["bands"], np.int64)
        yield row, keepers.Member(row["path_id"], sketch, bands, grams)


def _clusters_of(
    members: Iterator[tuple[dict[str, Any], keepers.Member]], threshold: float
) -> list[dict[str, Any]]:
    kept = keepers.Keepers(threshold)
    clusters: dict[int, list[dict[str, Any]]] = {}
    for row, member in members:
        keeper, likeness = kept.place(member)
        about = {name: row[name] for name in CLUSTER_COLUMNS if name in row}
        is_kept = keeper == member.path_id
        placed = {**about, "cluster_id": keeper, "kind": "Near", "kept": is_kept, "similarity": likeness}
        clusters.setdefault(keeper, []).append(placed)
    return [row for cluster in clusters.values() if len(cluster) > 1 for row in cluster]


def _as_exact(members: DataFrame) -> DataFrame:
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    best_first = Window.partitionBy("cluster_id").orderBy(*_preference())
    added = {"kept": f.row_number().over(best_first) == 1, "kind": f.lit("Exact"), "similarity": f.lit(1.0)}
    return members.withColumns(added).select(*CLUSTER_COLUMNS)


def _preference() -> list[Column]:
    from pyspark.sql import functions as f

    choices = f.split(f.lower("licence"), " or ")
    permissive = f.coalesce(f.exists(choices, lambda choice: choice.isin(*sorted(PERMISSIVE))), f.lit(False))
    return [permissive.desc(), f.length("path").asc(), f.col("path_id").asc()]
