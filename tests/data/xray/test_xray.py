"""The x-ray step on a documents artifact whose numbers are known."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from daybreak_contracts import artifacts
from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.run import Mlflow, Tracking
from daybreak_contracts.steps import XrayArgs
from daybreak_data import mlflow_record
from daybreak_data.xray import statistics, tracking
from daybreak_data.xray import step as xray

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WriteDocuments = Callable[..., str]

DOCUMENTS = [
    {"repository": "r1", "path": "a.py", "text": "# hi\nx = 1\n\n", "num_redactions": 2, "quality": 0.8},
    {"repository": "r1", "path": "b.py", "text": "y = '\u00e9'\n"},
    {"repository": "r2", "path": "c.c", "language": "c", "text": "// c\nint main() {}\n", "source": "other"},
    {
        "repository": "r2",
        "path": "<script>alert(1)</script>.c",
        "language": "c",
        "text": "",
        "source": "other",
    },
]
DROPS = [
    {
        "path": f"d{number}.py",
        "size_bytes": 100,
        "stage": "filter",
        "reason": "line-too-long",
        "detail": f"{number}",
    }
    for number in range(9)
] + [
    {
        "path": "z.bin",
        "language": None,
        "size_bytes": 7,
        "stage": "ingest",
        "reason": "binary",
        "detail": "NUL",
    }
]
MEMBERS = [
    {"cluster_id": -5, "kind": "Near", "path": f"n{number}.py", "size_bytes": 50, "kept": number == 7}
    for number in range(12)
] + [
    {"cluster_id": 3, "kind": "Exact", "path": f"e{number}.py", "size_bytes": 8, "kept": not number}
    for number in range(2)
]
FOUND = [
    {
        "repository": "r1",
        "path": "a.py",
        "kind": "email",
        "rule": "email",
        "start": 0,
        "end": 3,
        "value_sha256": "0",
    },
    {
        "repository": "r1",
        "path": "a.py",
        "kind": "email",
        "rule": "email",
        "start": 4,
        "end": 5,
        "value_sha256": "1",
    },
]
TABLES: dict[str, Any] = {"drops": DROPS, "clusters": MEMBERS, "personal_data": FOUND}


def xray_args(documents: str, tmp_path: Path, uri: str = "") -> XrayArgs:
    return XrayArgs(
        output=str(tmp_path / "out"),
        work_dir=str(tmp_path / "work"),
        documents=documents,
        title="known",
        tracking=Tracking(mlflow=Mlflow(uri=uri)),
    )


def compute(spark: SparkSession, uri: str) -> dict[str, list[dict[str, Any]]]:
    return statistics.as_json(statistics.compute(spark, uri, artifacts.load(uri)))


@pytest.mark.slow
def test_every_table_says_what_is_known(spark: SparkSession, write_documents: WriteDocuments) -> None:
    counted = {"dropped": {"binary": 1, "line-too-long": 9, "sample": 500}, "num_bytes": 10_947}
    found = compute(spark, write_documents(DOCUMENTS, result=counted, **TABLES))
    assert found["unread"] == [{"reason": "sample", "files": 500, "bytes": 10_000}]
    python = next(row for row in found["languages"] if row["language"] == "python")
    assert {name: python[name] for name in ("files", "repositories", "bytes", "lines", "blank_lines")} == {
        "files": 2, "repositories": 1, "bytes": 21, "lines": 4, "blank_lines": 1,
    }  # fmt: skip
    assert python["mean_quality"] == 0.9
    assert {name: python[name] for name in ("comment_ratio", "redactions", "redacted_files", "longest_line")} == {
        "comment_ratio": 0.25, "redactions": 2, "redacted_files": 1, "longest_line": 8,
    }  # fmt: skip
    assert [(row["source"], row["files"]) for row in found["sources"]] == [("src", 2), ("other", 2)]
    assert [(row["stage"], row["reason"], row["files"], row["bytes"]) for row in found["drops"]] == [
        ("filter", "line-too-long", 9, 900),
        ("ingest", "binary", 1, 7),
    ]
    examples = [row for row in found["drop_examples"] if row["reason"] == "line-too-long"]
    assert len(examples) == statistics.EXAMPLES_PER_REASON
    assert [row["path_id"] for row in examples] == sorted(row["path_id"] for row in examples)
    assert [
        (row["kind"], row["members"], row["removed"], row["removed_bytes"]) for row in found["clusters"]
    ] == [
        ("Near", 12, 11, 550),
        ("Exact", 2, 1, 8),
    ]
    near = [row for row in found["cluster_members"] if row["kind"] == "Near"]
    assert (len(near), near[0]["path"], near[0]["kept"]) == (10, "n7.py", True)
    assert found["personal_data"] == [
        {"kind": "email", "rule": "email", "source": "src", "findings": 2, "files": 1}
    ]
    sizes = [row for row in found["histograms"] if row["measure"] == "bytes" and row["language"] == "c"]
    assert [(row["low"], row["high"], row["files"], row["bytes"]) for row in sizes] == [
        (0, 1, 1, 0),
        (15, 20, 1, 19),
    ]


@pytest.mark.slow
def test_numbers_do_not_depend_on_order_or_layout(
    spark: SparkSession, write_documents: WriteDocuments
) -> None:
    turned = {name: rows[::-1] for name, rows in TABLES.items()}
    first = compute(spark, write_documents(DOCUMENTS, files=1, **TABLES))
    second = compute(spark, write_documents(DOCUMENTS[::-1], files=4, **turned))
    assert first == second


def runs_in(uri: str) -> list[Any]:
    with mlflow_record.quiet():
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("known")
        assert experiment is not None
        runs = list(client.search_runs([experiment.experiment_id]))
        return [(run, sorted(file.path for file in client.list_artifacts(run.info.run_id))) for run in runs]


@pytest.mark.slow
def test_the_step_leaves_page_tables_and_one_record_whatever_the_server_does(
    spark: SparkSession, write_documents: WriteDocuments, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    documents = write_documents(DOCUMENTS, **TABLES)
    down = "http://127.0.0.1:9"
    with caplog.at_level(logging.WARNING):
        result = xray.run_xray(xray_args(documents, tmp_path, down), Progress("test"))
    warned = [line for line in caplog.messages if "MLflow" in line]
    assert len(warned) == 1
    assert warned[0].startswith(f"MLflow at {down} cannot be used (")
    local = f"sqlite:///{tmp_path}/out/mlflow/mlflow.db"
    assert warned[0].endswith(f"recording in {local} instead")

    assert result.metrics["num_files"] == 14
    assert result.metrics["dropped/filter/line-too-long"] == 9
    artifacts.verify(result.uri, artifacts.load(result.uri))
    page = (Path(result.uri) / result.html).read_text()
    assert "&lt;script&gt;" not in page.partition("<style>")[0]
    assert "<script" not in page
    told = json.loads((Path(result.uri) / "xray.json").read_text())
    table = pq.read_table(Path(result.uri) / "statistics" / "drops.parquet").to_pylist()
    assert told["statistics"]["drops"] == table

    again = xray.run_xray(xray_args(documents, tmp_path), Progress("test"))
    assert again == result.model_copy(update={"cached": True})
    ((run, files),) = runs_in(local)
    assert run.data.metrics == result.metrics
    assert run.data.params["uri"] == result.uri
    assert run.info.status == "FINISHED"
    assert files == ["xray.html", "xray.json"]


def test_a_remote_output_keeps_the_local_store_in_the_work_folder(tmp_path: Path) -> None:
    args = xray_args("s3://b/documents/0", tmp_path).model_copy(update={"output": "s3://b/run"})
    assert tracking.local_store(args) == tmp_path / "work" / "mlflow"
