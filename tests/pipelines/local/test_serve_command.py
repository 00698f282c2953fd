"""What `daybreak serve` takes of a ModelDeployment, and what it says of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from daybreak_pipelines.cli import main
from daybreak_pipelines.local import record
from daybreak_serve.local import serving

EXAMPLES = Path(__file__).parents[3] / "manifests" / "examples"


@pytest.mark.parametrize(("example", "is_said"), [("asleep-at-night", True), ("completions", False)])
def test_a_model_that_may_sleep_in_a_cluster_stays_loaded_here_and_that_is_said(
    example: str, is_said: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served: list[Any] = []
    monkeypatch.setattr(record, "find_model", lambda run: run)
    monkeypatch.setattr(serving, "serve_forever", lambda model, **said: served.append(model) or 0)
    assert main(["serve", "a-run", "--deployment", str(EXAMPLES / f"{example}.yaml")]) == 0
    assert served == ["a-run"]
    assert ("scaling.scaleToZeroSeconds does not hold here" in capsys.readouterr().err) == is_said
