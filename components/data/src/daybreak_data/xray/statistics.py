"""The x-ray's numbers, from the four tables of a documents artifact, by Spark DataFrames.

Every sum is of integers and every list is sorted by all that could tie, so equal documents give equal bytes. Owns
which numbers there are; ``measures`` takes them of each file, ``page`` shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from daybreak_contracts import artifacts
from daybreak_data.tables import reading, schemas
from daybreak_data.xray import measures

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession

CONCURRENT_QUERIES = 3
EXAMPLES_PER_REASON = 5
TOP_CLUSTERS = 20
MEMBERS_PER_CLUSTER = 10

PLACE = ("path_id", "source", "repository", "path")
PERSONAL_DATA = {name: schemas.PERSONAL_DATA[name] for name in ("path_id", "source", "kind", "rule")}


def compute(session: SparkSession, uri: str, manifest: artifacts.Manifest) -> dict[str, pa.Table]:
    """Return the tables of the x-ray by name; each becomes ``statistics/<name>.parquet``."""

    def files(table: str) -> list[str]:
        return reading.files_of(uri, manifest, table)

    documents = reading.read_through(
        session, files(reading.DOCUMENTS), measures.COLUMNS, measures.measure, measures.SCHEMA
    ).persist()
    drops = reading.read(session, files(reading.DROPS), schemas.DROPS).persist()
    clusters = reading.read(session, files(reading.CLUSTERS), schemas.CLUSTERS).persist()
    personal = reading.read(session, files(reading.PERSONAL_DATA), PERSONAL_DATA)
    frames = {
        "languages": summary(documents, "language"),
        "sources": summary(documents, "source"),
        "licences": licences(documents),
        "histograms": histograms(documents),
        "drops": drop_counts(drops),
        "drop_examples": drop_examples(drops),
        "cluster_sizes": cluster_sizes(clusters),
        "clusters": top_clusters(clusters),
        "cluster_members": cluster_members(clusters),
        "personal_data": personal_data(personal),
    }
    try:
        with ThreadPoolExecutor(
            CONCURRENT_QUERIES
        ) as pool:  # small queries: their start is most of their time
            found = dict(zip(frames, pool.map(lambda frame: frame.toArrow(), frames.values()), strict=True))
    finally:
        for frame in (documents, drops, clusters):
            frame.unpersist()
    found["histograms"] = _with_edges(found["histograms"])
    found["unread"] = unread(manifest.result, found)
    return found


def unread(result: Mapping[str, Any], found: Mapping[str, pa.Table]) -> pa.Table:
    """Return reasons that the documents step counted without a row for each file: it never looked into those.

    Such is a source's own limit, which can set millions of files aside. Their bytes are what is left of all bytes
    seen; they are known only where there is one such reason, else 0.
    """
    import pyarrow as pa

    known = set(found["drops"]["reason"].to_pylist())
    others = {
        reason: files for reason, files in sorted(result.get("dropped", {}).items()) if reason not in known
    }
    seen = sum(found["drops"]["bytes"].to_pylist()) + sum(found["languages"]["bytes"].to_pylist())
    rest = max(0, result.get("num_bytes", 0) - seen) if len(others) == 1 else 0
    schema = pa.schema([("reason", pa.string()), ("files", pa.int64()), ("bytes", pa.int64())])
    rows = [{"reason": reason, "files": files, "bytes": rest} for reason, files in others.items()]
    return pa.Table.from_pylist(rows, schema=schema)


def _with_edges(counted: pa.Table) -> pa.Table:
    import pyarrow as pa

    places = zip(counted["measure"].to_pylist(), counted["bin"].to_pylist(), strict=True)
    edges = [measures.bin_edges(measure, place) for measure, place in places]
    with_low = counted.append_column("low", pa.array([low for low, _ in edges], pa.float64()))
    return with_low.append_column("high", pa.array([high for _, high in edges], pa.float64()))


def summary(documents: DataFrame, key: str) -> DataFrame:
    """Return one row for each language or source: sums, medians, largest; ratios are made from them by readers."""
    from pyspark.sql import functions as f

    sums = ["size_bytes", *[name for name in measures.COUNTS if name != "longest_line"]]
    redacted = f.sum(f.when(f.col("num_redactions") > 0, 1).otherwise(0))
    totals = documents.groupBy(key).agg(
        f.count("*").alias("files"),
        f.countDistinct("source", "repository").alias("repositories"),
        *[f.sum(name).alias("bytes" if name == "size_bytes" else name) for name in sums],
        f.median("size_bytes").alias("median_bytes"),
        f.max("size_bytes").alias("largest_bytes"),
        f.max("longest_line").alias("longest_line"),
        f.median("longest_line").alias("median_longest_line"),
        f.sum("num_redactions").alias("redactions"),
        redacted.alias("redacted_files"),
        f.sum("quality").alias("quality_hundredths"),
    )
    ratios = {
        "mean_line_length": (f.col("bytes") - f.col("lines"), "lines"),
        "letter_ratio": (f.col("letters"), "characters"),
        "digit_ratio": (f.col("digits"), "characters"),
        "space_ratio": (f.col("spaces"), "characters"),
        "comment_ratio": (f.col("comment_lines"), "lines"),
        "blank_ratio": (f.col("blank_lines"), "lines"),
        "mean_quality": (f.col("quality_hundredths") / 100, "files"),
    }
    for name, (part, whole) in ratios.items():
        totals = totals.withColumn(name, _ratio(part, f.col(whole)))
    return totals.orderBy(f.col("bytes").desc(), key)


def licences(documents: DataFrame) -> DataFrame:
    """Return repositories, files and bytes of each licence."""
    from pyspark.sql import functions as f

    totals = documents.groupBy("licence").agg(
        f.countDistinct("source", "repository").alias("repositories"),
        f.count("*").alias("files"),
        f.sum("size_bytes").alias("bytes"),
    )
    return totals.orderBy(f.col("bytes").desc(), "licence")


def _ratio(part: Column, whole: Column) -> Column:
    from pyspark.sql import functions as f

    safe = f.when(whole > 0, f.greatest(part, f.lit(0)) / whole).otherwise(0.0)
    return f.round(safe, 6)


def histograms(documents: DataFrame) -> DataFrame:
    """Return files and bytes by language, measure and bin; ``measures.bin_edges`` tells what a bin holds."""
    from pyspark.sql import functions as f

    names = (*measures.LENGTHS, *measures.RATIOS)
    columns = [f.col(f"bin_{name}").alias(name) for name in names]
    long = documents.select("language", "size_bytes", *columns).unpivot(
        ["language", "size_bytes"], list(names), "measure", "bin"
    )
    counted = long.groupBy("language", "measure", "bin").agg(
        f.count("*").alias("files"), f.sum("size_bytes").alias("bytes")
    )
    return counted.orderBy("measure", "language", "bin")


def drop_counts(drops: DataFrame) -> DataFrame:
    """Return files and bytes by stage, reason, source and language."""
    from pyspark.sql import functions as f

    language = f.coalesce("language", f.lit("")).alias("language")
    groups = drops.groupBy("stage", "reason", "source", language)
    counted = groups.agg(
        f.count("*").alias("files"), f.sum(f.coalesce("size_bytes", f.lit(0))).alias("bytes")
    )
    return counted.orderBy("stage", "reason", "source", "language")


def drop_examples(drops: DataFrame) -> DataFrame:
    """Return the first files by path id of each reason: the same ones in every run."""
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    window = Window.partitionBy("stage", "reason").orderBy("path_id", "source", "path")
    ranked = drops.withColumn("place", f.row_number().over(window)).where(
        f.col("place") <= EXAMPLES_PER_REASON
    )
    return ranked.select("stage", "reason", "place", *PLACE, "language", "size_bytes", "detail").orderBy(
        "stage", "reason", "place"
    )


def _sizes(clusters: DataFrame) -> DataFrame:
    from pyspark.sql import functions as f

    removed = ~f.col("kept")
    return clusters.groupBy("kind", "cluster_id").agg(
        f.count("*").alias("members"),
        f.sum(removed.cast("long")).alias("removed"),
        f.sum(f.when(removed, f.col("size_bytes")).otherwise(0)).alias("removed_bytes"),
        f.countDistinct("source", "repository").alias("repositories"),
    )


def cluster_sizes(clusters: DataFrame) -> DataFrame:
    """Return for each kind how many clusters there are, how large, and what they cost."""
    from pyspark.sql import functions as f

    totals = _sizes(clusters).groupBy("kind")
    counted = totals.agg(
        f.count("*").alias("clusters"),
        f.sum("members").alias("members"),
        f.sum("removed").alias("removed"),
        f.sum("removed_bytes").alias("removed_bytes"),
        f.max("members").alias("largest"),
    )
    return counted.orderBy("kind")


def top_clusters(clusters: DataFrame) -> DataFrame:
    """Return the clusters with most members, the smallest id first among equals."""
    from pyspark.sql import functions as f

    return _sizes(clusters).orderBy(f.col("members").desc(), "kind", "cluster_id").limit(TOP_CLUSTERS)


def cluster_members(clusters: DataFrame) -> DataFrame:
    """Return members of the top clusters: the one that is kept, then the first by path id."""
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    chosen = clusters.join(
        f.broadcast(top_clusters(clusters).select("kind", "cluster_id")), ["kind", "cluster_id"]
    )
    window = Window.partitionBy("kind", "cluster_id").orderBy(
        f.col("kept").desc(), "path_id", "source", "path"
    )
    ranked = chosen.withColumn("place", f.row_number().over(window)).where(
        f.col("place") <= MEMBERS_PER_CLUSTER
    )
    return ranked.select("kind", "cluster_id", "place", "kept", *PLACE, "language", "size_bytes").orderBy(
        "kind", "cluster_id", "place"
    )


def personal_data(found: DataFrame) -> DataFrame:
    """Return findings and files by kind, rule and source."""
    from pyspark.sql import functions as f

    counted = found.groupBy("kind", "rule", "source").agg(
        f.count("*").alias("findings"), f.countDistinct("path_id").alias("files")
    )
    return counted.orderBy("kind", "rule", "source")


def as_json(found: dict[str, pa.Table]) -> dict[str, list[dict[str, Any]]]:
    """Return the tables as lists of rows."""
    return {name: table.to_pylist() for name, table in found.items()}
