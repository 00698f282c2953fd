"""Clusters: who belongs together, who is kept, and that neither depends on order, partitions or size."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from daybreak_data.duplicates import (
    CLUSTER_COLUMNS,
    SIGNATURE_COLUMNS,
    find_exact_duplicates,
    find_near_duplicates,
    signature_batches,
)
from daybreak_data.duplicates.clusters import Texts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = (
    "document_id string, path_id long, source string, repository string, path string, language string, "
    "licence string, size_bytes long, text string"
)


REFERENCE = [(-4, -4, True), (3, -4, False), (8, 9, False), (9, 9, True), (10, -4, False)]


def row(
    path_id: int, text: str, *, path: str = "a.py", licence: str = "MIT", language: str = "python"
) -> tuple[Any, ...]:
    return (text, path_id, "src", "repo", path, language, licence, len(text), text)


def words(seed: int, count: int = 80) -> list[str]:
    rng = random.Random(seed)
    return [f"w{rng.randrange(10_000)}" for _ in range(count)]


def code(seed: int, changed: int = 0) -> str:
    return " ".join([f"other{i}" for i in range(changed)] + words(seed)[changed:])


CORPUS = [
    row(10, code(1), path="long/path.py"),
    row(-4, code(1, changed=1), path="b.py"),
    row(3, code(1, changed=2), path="c.py", licence=""),
    row(8, code(2), path="x.py", licence="GPL-3.0-only"),
    row(9, code(2, changed=1), path="longer/x.py", licence="Apache-2.0"),
    row(20, code(3)),
    *(row(100 + i, f"import m{i}") for i in range(20)),  # under ten words: never near anything
    row(200, ""),
    row(201, " "),
]


def signed(documents: DataFrame) -> DataFrame:
    return documents.select("path_id", "language", "text").mapInArrow(signature_batches, SIGNATURE_COLUMNS)


def texts_of(documents: DataFrame) -> Texts:
    return lambda path_ids: documents.where(documents.path_id.isin(path_ids.tolist()))["path_id", "text"]


def near(documents: DataFrame, **options: Any) -> list[dict[str, Any]]:
    found = find_near_duplicates(signed(documents), documents, texts_of(documents), **options)
    assert tuple(found.columns) == CLUSTER_COLUMNS
    return sorted((r.asDict() for r in found.collect()), key=lambda r: r["path_id"])


def test_near_duplicates_form_clusters_and_one_is_kept(spark: SparkSession) -> None:
    found = near(spark.createDataFrame(CORPUS, SCHEMA))
    assert [(r["path_id"], r["cluster_id"], r["kept"]) for r in found] == REFERENCE
    assert {r["kind"] for r in found} == {"Near"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("partitions", "bound"),
    [
        pytest.param(1, 1000, id="one partition, labelled in one task"),
        pytest.param(2, 1000, id="two partitions, labelled in one task"),
        pytest.param(8, 0, id="eight partitions, labelled over many tasks"),
    ],
)
def test_the_same_clusters_for_any_order_and_partitioning(
    spark: SparkSession, partitions: int, bound: int
) -> None:
    shuffled = random.Random(partitions).sample(CORPUS, len(CORPUS))
    documents = spark.createDataFrame(shuffled, SCHEMA).repartition(partitions)
    found = near(documents, max_in_one_task=bound)
    assert [(r["path_id"], r["cluster_id"], r["kept"]) for r in found] == REFERENCE


def test_signatures_of_files_that_are_gone_are_left_out(spark: SparkSession) -> None:
    everything = spark.createDataFrame(CORPUS, SCHEMA)
    left = everything.where("path_id NOT IN (-4, 8)")
    clusters = find_near_duplicates(signed(everything), left, texts_of(everything))
    found = {r.path_id: r.cluster_id for r in clusters.collect()}
    assert found == {3: 10, 10: 10}  # a permissive licence is preferred


HEADER = "".join(
    f"// {line}\n"
    for line in (
        "Copyright 2031 The Wherever Authors",
        "",
        'Licensed under the Apache License, Version 2.0 (the "License");',
        "you may not use this file except in compliance with the License.",
        "You may obtain a copy of the License at",
        "",
        "    http://www.apache.org/licenses/LICENSE-2.0",
        "",
        "Unless required by applicable law or agreed to in writing, software",
        'distributed under the License is distributed on an "AS IS" BASIS,',
        "WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.",
        "See the License for the specific language governing permissions and",
        "limitations under the License.",
    )
)


def test_strangers_with_one_licence_header_are_no_duplicates(spark: SparkSession) -> None:
    files = [
        row(
            i,
            f"{HEADER}\npackage p{i}\n\nfunc F{i}(a{i} int) int {{\n\treturn a{i} * {i}\n}}\n",
            language="go",
        )
        for i in range(3)
    ]
    files.append(row(3, HEADER.replace("//", "#") + "\nimport os\n"))
    assert near(spark.createDataFrame(files, SCHEMA)) == []


def test_two_languages_are_never_joined(spark: SparkSession) -> None:
    files = [row(1, code(5)), row(2, code(5, changed=1), language="go"), row(3, code(5, changed=2))]
    found = near(spark.createDataFrame(files, SCHEMA))
    assert [(r["path_id"], r["cluster_id"]) for r in found] == [(1, 1), (3, 1)]


def test_the_ends_of_a_chain_are_not_each_others_duplicates(spark: SparkSession) -> None:
    """Each is 0.9 like the next, the ends are strangers: what goes is like a file that stays."""
    chain = [row(i, code(4, changed=4 * i)) for i in range(12)]
    found = near(spark.createDataFrame(chain, SCHEMA))
    grams = {r[1]: {tuple(r[8].split()[i : i + 5]) for i in range(76)} for r in chain}
    for member in found:
        own, kept = grams[member["path_id"]], grams[member["cluster_id"]]
        assert member["similarity"] == pytest.approx(len(own & kept) / len(own | kept))
        assert member["similarity"] >= 0.7
    assert 2 <= len({r["cluster_id"] for r in found}) <= 4
    assert sum(not r["kept"] for r in found) >= 7


@pytest.mark.parametrize(
    ("members", "kept"),
    [
        pytest.param([(1, "a.py", ""), (2, "long.py", "MIT")], 2, id="a permissive licence wins"),
        pytest.param([(1, "a.py", "GPL-3.0"), (2, "aa.py", None)], 1, id="unknown is not permissive"),
        pytest.param([(1, "longer.py", "MIT"), (2, "a.py", "apache-2.0")], 2, id="then the shorter path"),
        pytest.param([(5, "a.py", "MIT"), (-2, "b.py", "MIT")], -2, id="then the smaller id"),
    ],
)
def test_which_of_equal_files_is_kept(
    spark: SparkSession, members: list[tuple[int, str, str | None]], kept: int
) -> None:
    rows = [("same", i, "s", "r", path, "python", licence, 4, "text") for i, path, licence in members]
    rows.append(("other", 77, "s", "r", "z.py", "python", "MIT", 4, "else"))
    found = find_exact_duplicates(spark.createDataFrame(rows, SCHEMA)).collect()
    assert {r.path_id: r.kept for r in found} == {i: i == kept for i, _, _ in members}
    assert {(r.cluster_id, r.kind) for r in found} == {(min(i for i, _, _ in members), "Exact")}
