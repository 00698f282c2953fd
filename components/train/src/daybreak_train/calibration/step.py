"""The step ``calibrate``: twenty real steps of a training on made-up tokens, to know its speed and memory here.

Owns what is measured. The steps are the train step's own: model, optimizer, reader, objective, Composer's loop.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import CalibrateArgs, CalibrateResult, TrainArgs
from daybreak_train import run_key
from daybreak_train.calibration import synthetic
from daybreak_train.calibration.step_times import StepClock, speeds
from daybreak_train.loop.trainer import run_train

STEPS = 20
WARM = 4
"""Steps that are left out: caches, threads and the allocator find their size."""


def run_calibrate(args: CalibrateArgs, progress: Progress) -> CalibrateResult:
    """Train twenty steps in a scratch folder, which goes with them."""
    began = time.perf_counter()
    folder = Path(args.work_dir) / "calibration"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        context = args.training.context_length
        tokenizer = synthetic.make_tokenizer(folder, args.vocabulary_size)
        shards = synthetic.make_shards(folder, args.vocabulary_size, context, args.samples_per_step)
        made = time.perf_counter()
        progress.report(f"training {STEPS} steps to measure")
        clock = StepClock()
        wanted = _train_args(args, folder, shards, tokenizer)
        manifests = run_key.read_manifests(wanted)
        key = run_key.key_of(wanted, manifests)
        trained = run_train(wanted, manifests, key, Progress("calibrate", listener=clock.note))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    low, likely, high = speeds(clock.seconds()[WARM - 1 :], args.samples_per_step * context)
    in_loop = trained.tokens / trained.tokens_per_second
    return CalibrateResult(
        uri="",
        digest="",
        low=low,
        likely=likely,
        high=high,
        preparation_s=made - began,
        loop_s=in_loop,
        peak_memory_bytes=trained.peak_memory_bytes,
    )


def _train_args(args: CalibrateArgs, folder: Path, shards: str, tokenizer: str) -> TrainArgs:
    tokens = args.samples_per_step * args.training.context_length
    length = {"tokens": STEPS * tokens, "tokens_per_parameter": None, "deadline_seconds": None}
    schedule = args.training.schedule.model_copy(update={"batch_tokens": tokens})
    return TrainArgs(
        output=str(folder / "output"),
        work_dir=str(folder / "work"),
        seed=args.seed,
        cores=args.cores,
        shards=shards,
        tokenizer=tokenizer,
        model=args.model,
        training=args.training.model_copy(update={**length, "schedule": schedule}),
        run_name="calibration",
    )
