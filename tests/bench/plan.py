"""Plan against truth: ``plan --measure``, then the training itself at once, on made-up tokens, for three sizes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from daybreak_contracts import arguments, storage
from daybreak_contracts.planning.data_amount import DataAmount
from daybreak_contracts.planning.plan import Hardware, plan_of
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.steps import TrainArgs, TrainResult
from daybreak_pipelines.training_plan.measurement import measured
from daybreak_train.calibration import synthetic
from tests.bench.row import Row

STEPS = 80
CONTEXT, SAMPLES, VOCABULARY = 256, 8, 1024
SIZES = {"64 wide": (64, 128), "128 wide": (128, 384), "256 wide": (256, 768)}


def measure() -> list[Row]:
    """Return how far each number was off."""
    rows = []
    for name, (width, inner) in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            rows += _compare(name, _run(width, inner, folder), Path(folder))
    return rows


def _run(width: int, inner: int, folder: str) -> TrainingRun:
    model = {"hiddenSize": width, "layers": 4, "heads": 2, "keyValueHeads": 1, "intermediateSize": inner}
    tokens = CONTEXT * SAMPLES
    training = {"contextLength": CONTEXT, "tokens": STEPS * tokens, "schedule": {"batchTokens": tokens}}
    spec = {
        "output": {"uri": folder},
        "data": {"sources": [{"name": "a", "directory": {"path": folder}}]},
        "tokenizer": {"train": {"vocabularySize": VOCABULARY}},
        "model": {"custom": model},
        "training": training,
    }
    return TrainingRun.model_validate(
        {
            "apiVersion": "daybreak.dev/v1alpha1",
            "kind": "TrainingRun",
            "metadata": {"name": "bench"},
            "spec": spec,
        }
    )


def _compare(name: str, run: TrainingRun, folder: Path) -> list[Row]:
    data = DataAmount(64 * CONTEXT, 64, "made up")
    settings = arguments.RunSettings(str(folder), str(folder), 0)
    speed = measured(run, settings, plan_of(run.spec, Hardware(), data))
    plan = plan_of(run.spec, Hardware(), data, speed)
    trained, seconds = _train(run, folder)
    assert plan.seconds is not None
    assert plan.seconds_per_step is not None
    a_step = trained.tokens / trained.steps / trained.tokens_per_second
    pairs = {
        "seconds a step": (plan.seconds_per_step.likely, a_step, "s"),
        "seconds from command to result": (plan.seconds.likely, seconds, "s"),
        "memory": (plan.memory_bytes / 1e9, trained.peak_memory_bytes / 1e9, "GB"),
    }
    size = f"{name}, {trained.num_parameters / 1e6:.2f} million parameters"
    return [
        Row(
            f"{size}: {title}, planned",
            round(planned, 3),
            unit,
            "within 10 %",
            note=f"was {was:.3f}: {100 * (was / planned - 1):+.1f} %",
        )
        for title, (planned, was, unit) in pairs.items()
    ]


def _train(run: TrainingRun, folder: Path) -> tuple[TrainResult, float]:
    args = TrainArgs(
        output=str(folder / "out"),
        work_dir=str(folder / "work"),
        shards=synthetic.make_shards(folder, VOCABULARY, CONTEXT, 64),
        tokenizer=synthetic.make_tokenizer(folder, VOCABULARY),
        model=run.spec.model,
        training=run.spec.training,
        run_name="bench",
    )
    file, result = folder / "train-args.json", folder / "train-result.json"
    file.write_text(args.model_dump_json())
    command = [
        sys.executable,
        "-m",
        "daybreak_train",
        "train",
        "--args-file",
        str(file),
        "--result",
        str(result),
    ]
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return TrainResult.model_validate(storage.read_json(str(result))["result"]), time.monotonic() - began
