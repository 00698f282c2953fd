"""What a start took, by stages: measured, left beside the model by the fetch, shown as metrics."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_serve.pod.starting import LOAD, WARM, StartStages, leave_note


def samples(stages: StartStages) -> dict[str, float]:
    lines = [line for line in stages.text().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_stages_are_measured_and_what_the_fetch_left_is_taken(tmp_path: Path) -> None:
    now = iter((10.0, 40.5, 41.0, 42.0))
    stages, model = StartStages(lambda: next(now)), tmp_path / "model"
    leave_note(model, 12.3456, 1000)
    assert not model.exists()
    stages.read_note(model)
    with stages.stage(LOAD):
        pass
    with stages.stage(WARM):
        pass
    assert samples(stages) == {
        'daybreak_engine_start_seconds{stage="fetch"}': 12.346,
        'daybreak_engine_start_seconds{stage="load"}': 30.5,
        'daybreak_engine_start_seconds{stage="warm"}': 1.0,
        "daybreak_engine_fetched_bytes": 1000.0,
    }
    assert stages.line() == "fetch 12.3 s, load 30.5 s, warm 1.0 s"


@pytest.mark.parametrize("note", [None, "", "{", "[]", '{"seconds": "x", "bytes": 1}', '{"bytes": 1}'])
def test_without_a_note_that_can_be_read_the_fetch_says_nothing(tmp_path: Path, note: str | None) -> None:
    stages = StartStages(lambda: 0.0)
    if note is not None:
        (tmp_path / ".model.start.json").write_text(note)
    stages.read_note(tmp_path / "model")
    assert stages.line() == ""


def test_a_stage_that_failed_says_nothing() -> None:
    stages = StartStages(lambda: 0.0)
    with pytest.raises(RuntimeError), stages.stage(LOAD):
        raise RuntimeError
    assert stages.line() == ""
