"""The notebook runs from its first cell to its last on a small x-ray, and draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from daybreak_contracts import artifacts
from daybreak_data import xray_statistics

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOTEBOOK = Path(__file__).parents[3] / "components" / "data" / "notebooks" / "xray.ipynb"


def outputs(cells: list[Any]) -> list[Any]:
    return [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.slow
@pytest.mark.parametrize("dropped", [True, False], ids=["with-drops", "nothing-dropped"])
def test_every_cell_runs(
    dropped: bool,
    spark: SparkSession,
    write_documents: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import nbformat
    from nbclient import NotebookClient

    drop = {"path": "d.py", "size_bytes": 100, "stage": "filter", "reason": "line-too-long", "detail": "x"}
    member = {"cluster_id": 1, "kind": "Exact", "path": "e.py", "size_bytes": 8, "kept": True}
    key = {"path": "a.py", "kind": "key", "rule": "pem", "start": 0, "end": 3, "value_sha256": "0"}
    tables = {"drops": [drop], "clusters": [member], "personal_data": [key]} if dropped else {}
    uri = write_documents([{"path": "a.py", "text": "x = 1\n"}, {"path": "b.py", "text": "# y\n"}], **tables)
    (tmp_path / "statistics").mkdir()
    for name, table in xray_statistics.compute(spark, uri, artifacts.load(uri)).items():
        pq.write_table(table, tmp_path / "statistics" / f"{name}.parquet")
    monkeypatch.setenv("DAYBREAK_XRAY", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert outputs(notebook.cells) == [], "committed without outputs"
    done = NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = outputs(done.cells)
    assert [output for output in shown if output.output_type == "error"] == []
    pictures = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(pictures) == (2 if dropped else 1)
