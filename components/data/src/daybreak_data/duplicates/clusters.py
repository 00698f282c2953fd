"""Clusters of duplicates as a table, and which file of each is kept.

Owns the order of keepers: a permissive licence, then the shorter path, then the smaller id. The same clusters
come out for any order and partitioning of the input. Does not remove anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from daybreak_data.duplicates.components import (
    MAX_IN_ONE_TASK,
    Checkpoint,
    label_signatures,
    local_checkpoint,
)
from daybreak_data.duplicates.signatures import DEFAULT_THRESHOLD

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

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
)
_DESCRIPTION = ("path_id", "source", "repository", "path", "language", "licence", "size_bytes")
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
    return _as_clusters(members.where("members > 1"), "Exact")


def find_near_duplicates(
    signatures: DataFrame,
    documents: DataFrame,
    threshold: float = DEFAULT_THRESHOLD,
    *,
    checkpoint: Checkpoint = local_checkpoint,
    max_in_one_task: int = MAX_IN_ONE_TASK,
) -> DataFrame:
    """Clusters (``CLUSTER_COLUMNS``) of documents that share a band and are similar, over any number of steps.

    ``signatures`` has ``path_id``, ``bands`` and ``sketch``, made for the same threshold; rows whose ``path_id``
    is not among ``documents`` are left out, so signatures of whole sources can be given after exact duplicates
    are gone. Whole components count as duplicates (as BigCode does; the huggingface blog on deduplication found
    it the best for the model).
    """
    described = documents.select(*_DESCRIPTION)
    present = signatures.join(described.select("path_id"), "path_id", "left_semi")
    labels = label_signatures(
        present.select("path_id", "bands", "sketch"),
        threshold,
        checkpoint,
        in_one_task=signatures.count() <= max_in_one_task,
    )
    return _as_clusters(described.join(labels, "path_id"), "Near")


def _as_clusters(members: DataFrame, kind: str) -> DataFrame:
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    best_first = Window.partitionBy("cluster_id").orderBy(*_keeper_order())
    return members.withColumns(
        {"kept": f.row_number().over(best_first) == 1, "kind": f.lit(kind)},
    ).select(*CLUSTER_COLUMNS)


def _keeper_order() -> list[Column]:
    from pyspark.sql import functions as f

    permissive = f.coalesce(f.lower("licence").isin(*sorted(PERMISSIVE)), f.lit(False))
    return [permissive.desc(), f.length("path").asc(), f.col("path_id").asc()]
