"""The evaluation asks our own gateway, as it asks any server of OpenAI's protocol."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daybreak_contracts.progress import Progress
from daybreak_contracts.resources.evaluation import Suite
from daybreak_evaluate import subject
from daybreak_evaluate.endpoint import ModelServer
from tests.serve.conftest import SlowEngine


@pytest.mark.slow
def test_a_served_model_is_scored_through_gateway_and_triton(slow: SlowEngine, tmp_path: Path) -> None:
    suites = [Suite(name="HumanEval", max_tasks=2)]
    options = subject.Options(tmp_path, workers=1)
    [score] = subject.score(subject.of_server(ModelServer(slow.url)), suites, options, Progress("evaluate"))
    rows = [json.loads(line) for line in (tmp_path / "samples" / "humaneval.jsonl").read_text().splitlines()]
    assert score.metric == "humaneval/pass@1" and score.num_tasks == len(rows) == 2
    assert all(row["completion"] for row in rows)
