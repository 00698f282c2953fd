"""The step ``calibrate``: some real steps of a training on made-up tokens, to know its speed and memory here.

Owns what is measured. The steps are the train step's own: model, optimizer, reader, objective, Composer's loop.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from daybreak_contracts.planning.schedule import NOMINAL_CPU_FLOPS, NOMINAL_GPU_FLOPS
from daybreak_contracts.progress import Progress
from daybreak_contracts.steps import CalibrateArgs, CalibrateResult, TrainArgs
from daybreak_model.llama.sizes import dimensions_of, flops_per_token
from daybreak_train import run_key
from daybreak_train.calibration import synthetic
from daybreak_train.calibration.step_times import StepClock, speeds, warm
from daybreak_train.loop.trainer import run_train

STEPS, MOST_STEPS = 20, 200
LASTS_S = 20.0
"""Small models make more steps, until about so much time has passed by the speed that a machine is taken to have."""


def run_calibrate(args: CalibrateArgs, progress: Progress) -> CalibrateResult:
    """Train in a scratch folder, which goes with what was trained."""
    began = time.perf_counter()
    folder = Path(args.work_dir) / "calibration"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        context = args.training.context_length
        tokenizer = synthetic.make_tokenizer(folder, args.vocabulary_size)
        shards = synthetic.make_shards(folder, args.vocabulary_size, context, args.samples_per_step)
        made = time.perf_counter()
        num_steps = num_steps_for(args)
        progress.report(f"training {num_steps} steps to measure")
        clock = StepClock()
        wanted = _train_args(args, num_steps, folder, shards, tokenizer)
        manifests = run_key.read_manifests(wanted)
        key = run_key.key_of(wanted, manifests)
        trained = run_train(wanted, manifests, key, Progress("calibrate", listener=clock.note))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    low, likely, high = speeds(warm(clock.seconds()), args.samples_per_step * context)
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


def num_steps_for(args: CalibrateArgs) -> int:
    """Return how many steps to make."""
    dims, context = dimensions_of(args.model), args.training.context_length
    flops = flops_per_token(dims, args.vocabulary_size, context) * args.samples_per_step * context
    speed = NOMINAL_GPU_FLOPS if args.training.gpus_per_node else NOMINAL_CPU_FLOPS
    return min(MOST_STEPS, max(STEPS, round(LASTS_S * speed / flops)))


def _train_args(args: CalibrateArgs, num_steps: int, folder: Path, shards: str, tokenizer: str) -> TrainArgs:
    tokens = args.samples_per_step * args.training.context_length
    length = {"tokens": num_steps * tokens, "tokens_per_parameter": None, "deadline_seconds": None}
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
