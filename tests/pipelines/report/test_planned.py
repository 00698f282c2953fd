"""Plan and truth of a training, side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from daybreak_contracts.planning.plan import Hardware, TrainingPlan, plan_of
from daybreak_contracts.planning.throughput import Throughput
from daybreak_contracts.resources.run import TrainingRunSpec
from daybreak_contracts.steps import TrainResult
from daybreak_pipelines.local import record
from daybreak_pipelines.report import planned

MEASURED = Throughput(900.0, 1000.0, 1100.0, "measured", start_s=10.0)


def a_plan(tokens: int, speed: Throughput | None = MEASURED) -> TrainingPlan:
    spec = {
        "output": {"uri": "runs/x"},
        "data": {"sources": [{"name": "a", "directory": {"path": "/a"}}]},
        "model": {"size": "1m"},
        "training": {"contextLength": 256, "tokens": tokens, "schedule": {"batchTokens": 4096}},
    }
    return plan_of(TrainingRunSpec.model_validate(spec), Hardware(), None, speed)


@pytest.fixture
def trained() -> TrainResult:
    plan = a_plan(40_960)
    return TrainResult(
        uri="u",
        digest="d",
        num_parameters=plan.parameters,
        steps=10,
        tokens=40_960,
        loss=1.0,
        held_out_loss=1.0,
        tokens_per_second=800.0,
        peak_memory_bytes=plan.memory_bytes,
        stopped_by="Tokens",
    )


def test_each_number_says_how_far_off_it_was(trained: TrainResult) -> None:
    found = {row[0]: row[1:] for row in planned.rows(a_plan(40_960), trained, seconds=61.2)}
    assert found["steps"] == ("10", "10", "+0.0 %")
    assert found["seconds a step"] == ("4.096", "5.120", "+25.0 %")
    assert found["time"][2] == "+20.1 %"


def test_a_time_that_nobody_planned_or_measured_is_not_compared(trained: TrainResult) -> None:
    assert "time" not in {row[0] for row in planned.rows(a_plan(40_960), trained, seconds=None)}
    unmeasured = {row[0] for row in planned.rows(a_plan(40_960, None), trained, 61.2)}
    assert not unmeasured & {"seconds a step", "memory of a process, GB"}


def test_a_plan_is_kept_until_its_manifest_changes(tmp_path: Path) -> None:
    measured = a_plan(40_960)
    assert record.kept_plan(str(tmp_path)) is None
    record.keep_plan(str(tmp_path), measured)
    kept = record.kept_plan(str(tmp_path))
    assert kept == measured
    assert planned.chosen(kept, a_plan(40_960, None)) == measured
    by_time = a_plan(40_960, None).model_copy(update={"tokens": None})
    assert planned.chosen(kept, by_time) == measured, "a length in seconds has no tokens until it is measured"
    longer = a_plan(40_960, None).model_copy(update={"context_length": 512})
    assert planned.chosen(kept, longer) == longer
    changed = a_plan(81_920, None)
    assert planned.chosen(kept, changed) == changed
