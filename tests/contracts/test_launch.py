"""What a step inside a Kubeflow task leaves for its launcher, which learns from Kubeflow only that a task failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daybreak_contracts import errors, launch, steps
from daybreak_contracts.errors import ArtifactError, DaybreakError, TransientError, UserError
from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import ExportArgs, ExportResult

ARGUMENTS = {"output": "o", "work_dir": "w", "trained": "t", "tokenizer": "k"}


def export(args: ExportArgs, progress: Progress) -> ExportResult:
    progress.report("exporting", 1, 2)
    return ExportResult(uri=args.output, digest="d", num_parameters=7)


def failing(error: BaseException) -> Callable[[ExportArgs, Progress], ExportResult]:
    def step(args: ExportArgs, progress: Progress) -> ExportResult:
        raise error

    return step


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the launcher named."""
    monkeypatch.setenv(launch.RESULTS_FOLDER, str(tmp_path / "results"))
    monkeypatch.setenv(launch.PROGRESS_FILE, str(tmp_path / "progress.json"))
    return tmp_path


def test_a_result_is_returned_and_left(folder: Path) -> None:
    result = launch.run_in_pipeline("export", ExportArgs, export, ARGUMENTS)
    assert steps.read_result(folder / "results/export.json", ExportResult) == result
    assert json.loads((folder / "progress.json").read_text())["activity"] == "exporting"


@pytest.mark.parametrize("error", [UserError("mend it"), TransientError("later"), ZeroDivisionError("bug")])
def test_an_error_rises_and_is_left(folder: Path, error: Exception) -> None:
    with pytest.raises(type(error)):
        launch.run_in_pipeline("export", ExportArgs, failing(error), ARGUMENTS)
    document = json.loads((folder / "results/export.json").read_text())["error"]
    assert document["kind"] == type(error).__name__
    assert document["exitCode"] == errors.exit_code_of(error)
    assert type(error).__name__ in document["traceback"]


def test_bad_arguments_are_named(folder: Path) -> None:
    with pytest.raises(UserError, match="typo"):
        launch.run_in_pipeline("export", ExportArgs, export, {**ARGUMENTS, "typo": 1})
    assert json.loads((folder / "results/export.json").read_text())["error"]["exitCode"] == 2


def test_without_a_launcher_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (launch.RESULTS_FOLDER, launch.PROGRESS_FILE, launch.LAUNCHER):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert launch.run_in_pipeline("export", ExportArgs, export, ARGUMENTS).num_parameters == 7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UserError("a"), UserError),
        (ArtifactError("b"), UserError),
        (TransientError("c"), TransientError),
        (ValueError("d"), RuntimeError),
    ],
)
def test_an_error_written_down_comes_back(tmp_path: Path, error: Exception, kind: type[Exception]) -> None:
    errors.write(tmp_path / "new" / "e.json", error)
    document: dict[str, Any] = json.loads((tmp_path / "new/e.json").read_text())
    back = errors.read(document["error"])
    assert type(back) is kind
    assert str(back) == str(error)
    assert isinstance(back, DaybreakError) == isinstance(error, DaybreakError)
