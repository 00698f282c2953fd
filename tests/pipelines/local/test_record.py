"""Which model a person means."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts.errors import UserError
from daybreak_pipelines.local import record


def _write(output: Path, model: str | None) -> None:
    published = record.PublishedModel(uri=model, digest="d") if model else None
    gates = () if model else ("humaneval/pass@1 is 0, below 0.15",)
    record.write(
        str(output), record.RunRecord(name="r", model=published, failed_gates=gates, results={}, seconds={})
    )


def test_a_model_folder_is_itself(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert record.find_model(str(tmp_path)) == str(tmp_path)


def test_an_output_folder_names_its_model(tmp_path: Path) -> None:
    _write(tmp_path, "/models/m")
    assert record.find_model(str(tmp_path)) == "/models/m"


def test_a_name_is_looked_up_below_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "runs" / "first", "/models/m")
    assert record.find_model("first") == "/models/m"


def test_a_folder_without_a_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no finished run here.*daybreak run"):
        record.find_model(str(tmp_path))


def test_a_run_below_its_gates_has_no_model(tmp_path: Path) -> None:
    _write(tmp_path, None)
    with pytest.raises(UserError, match=r"did not pass its gates.*below 0\.15"):
        record.find_model(str(tmp_path))
