"""The notebook runs from its first cell to its last on a small x-ray, and draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from daybreak_contracts import artifacts
from daybreak_data.xray import statistics

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOTEBOOK = Path(__file__).parents[3] / "components" / "data" / "notebooks" / "xray.ipynb"


def outputs(cells: list[Any]) -> list[Any]:
    return [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]


def run(folder: Path) -> list[Any]:
    """Execute a copy of the notebook on the x-ray in a folder and return what its cells gave."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert outputs(notebook.cells) == [], "committed without outputs"
    return outputs(NotebookClient(notebook, timeout=200, kernel_name="python3").execute().cells)


@pytest.mark.slow
def test_every_cell_runs_whether_or_not_anything_was_dropped(
    spark: SparkSession,
    write_documents: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drop = {"path": "d.py", "size_bytes": 100, "stage": "filter", "reason": "line-too-long", "detail": "x"}
    member = {"cluster_id": 1, "kind": "Exact", "path": "e.py", "size_bytes": 8, "kept": True}
    key = {"path": "a.py", "kind": "key", "rule": "pem", "start": 0, "end": 3, "value_sha256": "0"}
    documents = [{"path": "a.py", "text": "x = 1\n"}, {"path": "b.py", "text": "# y\n"}]
    uri = write_documents(documents, drops=[drop], clusters=[member], personal_data=[key])
    found = statistics.compute(spark, uri, artifacts.load(uri))
    kept = ("languages", "sources", "histograms")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    for folder, num_pictures in (("full", 2), ("nothing-dropped", 1)):
        (tmp_path / folder / "statistics").mkdir(parents=True)
        for name, table in found.items():
            rows = table if folder == "full" or name in kept else table.slice(0, 0)
            pq.write_table(rows, tmp_path / folder / "statistics" / f"{name}.parquet")
        monkeypatch.setenv("DAYBREAK_XRAY", str(tmp_path / folder))
        shown = run(tmp_path / folder)
        assert [output for output in shown if output.output_type == "error"] == []
        assert sum("image/png" in output.get("data", {}) for output in shown) == num_pictures
