"""Values of a finished run, as the page and the record get them."""

from __future__ import annotations

import pytest

from daybreak_contracts import steps
from daybreak_contracts.resources import TrainingRun
from daybreak_pipelines.report import page as report
from daybreak_pipelines.report import planner


@pytest.fixture
def run() -> TrainingRun:
    return TrainingRun.model_validate(
        {
            "apiVersion": "daybreak.dev/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": "first"},
            "spec": {
                "output": {"uri": "runs/first"},
                "data": {"sources": [{"name": "here", "directory": {"path": "src"}}], "languages": ["c"]},
                "model": {"size": "1m"},
                "training": {"deadlineSeconds": 60, "contextLength": 256},
                "evaluation": {"gates": [{"metric": "humaneval/pass@1", "min": "0.15"}]},
                "seed": 7,
            },
        }
    )


@pytest.fixture
def values() -> report.Values:
    done = {"uri": "/out/step/abc", "digest": "d" * 64}
    return report.Values(
        name="<first>",
        documents=steps.DocumentsResult(
            **done,
            num_files=10_000,
            num_bytes=610_000_000,
            num_documents=700,
            document_bytes=40_000_000,
            dropped={"exact-duplicate": 200, "generated": 60, "<b>": 40, "sample": 9000},
            languages={"python": 30_000_000, "c": 10_000_000},
        ),
        read_bytes=61_000_000,
        tokenizer=steps.TokenizerResult(**done, vocabulary_size=4096, bytes_per_token={"python": 3.1}),
        shards=steps.ShardResult(
            **done,
            dtype="uint16",
            num_train_tokens=12_000_000,
            num_held_out_tokens=300_000,
            num_train_samples=24_000,
            num_held_out_samples=600,
        ),
        trained=steps.TrainResult(
            **done,
            num_parameters=1_300_000,
            steps=500,
            tokens=8_000_000,
            loss=2.5,
            held_out_loss=2.7,
            tokens_per_second=40_000,
            peak_memory_bytes=1_500_000_000,
            stopped_by="Time",
        ),
        exported=steps.ExportResult(**done, num_parameters=1_300_000),
        evaluated=steps.EvaluateResult(
            **done,
            scores=(
                steps.Score(metric="humaneval/pass@1", value=0.0, low=0.0, high=0.0, num_tasks=164),
                steps.Score(
                    metric="held-out/next-line-exact", value=0.11, low=0.08, high=0.14, num_tasks=300
                ),
            ),
        ),
        size="1m",
        examples=[
            report.TransformedExample("", [("x < 1\n", True)]),
            report.TransformedExample("<|mode_s|>", [("<|mode_s|>def f(", False), ("a):\n", True)]),
        ],
        findings=[(163840, "step 10: LossSpike, loss 7.43, Skip (stdlib/<b>.py)")],
        ledger=[(16384 * (index + 1), 8.0 / (1 + index / 50) + 1.5) for index in range(500)],
        completions=[report.Completion("def f(x):\n    return ", "", "x + 1</pre><script>", 0.084, 9)],
        seconds={"documents": 80.0, "xray": 14.0, "tokenizer": 9.0, "shards": 20.0, "train": 180.0},
        peak_bytes={"documents": 3_100_000_000, "train": 1_500_000_000},
        cached=frozenset({"xray"}),
        needs=[planner.need("125m", 32_768, 2048, 3.4)],
        links={"x-ray": "xray/abc/xray.html"},
        machine="Linux x86_64, 2 cores",
    )
