"""What a training takes on this machine: the train room's step ``calibrate`` in a child process.

Owns what a measurement becomes in the plan. The step owns what is measured.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from daybreak_contracts import arguments, launch, storage
from daybreak_contracts.planning.plan import Hardware, TrainingPlan
from daybreak_contracts.planning.throughput import MEASURED, Throughput
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.steps import CalibrateArgs, CalibrateResult
from daybreak_pipelines.local import processes
from daybreak_pipelines.local.runner import ended_without_result, error_of

STEP = "calibrate"


def measured(run: TrainingRun, settings: arguments.RunSettings, plan: TrainingPlan) -> Throughput:
    """Train one process's share of some steps and return what all processes together would do."""
    number = Hardware(plan.nodes, plan.gpus_per_node).processes
    alone = {"nodes": 1, "gpus_per_node": min(1, plan.gpus_per_node)}
    with tempfile.TemporaryDirectory(prefix="daybreak-calibration-") as folder:
        args = CalibrateArgs(
            output=folder,
            work_dir=folder,
            cores=settings.cores,
            model=run.spec.wanted_model(),
            training=run.spec.training.model_copy(update=alone),
            vocabulary_size=plan.vocabulary_size,
            samples_per_step=-(-plan.samples_per_step // number),
        )
        began = time.monotonic()
        result = _calibrated(args, Path(folder))
        outside_s = time.monotonic() - began - result.preparation_s - result.loop_s
    one = Throughput(
        result.low,
        result.likely,
        result.high,
        MEASURED,
        start_s=max(0.0, outside_s),
        base_bytes=result.peak_memory_bytes - plan.memory_bytes,
    )
    return one.over(number)


def _calibrated(args: CalibrateArgs, folder: Path) -> CalibrateResult:
    args_file, result_file, log = folder / "args.json", folder / "result.json", folder / "log.txt"
    args_file.write_text(args.model_dump_json())
    command = [sys.executable, "-m", "daybreak_train", "calibrate"]
    command += ["--args-file", str(args_file), "--result", str(result_file)]
    environment = processes.environment_for(
        os.environ, launcher_pid=os.getpid(), results=folder, progress=folder / "progress.json"
    )
    child = processes.start(command, environment, log)
    try:
        child.wait()
    finally:
        processes.stop(child, environment[launch.LAUNCHER])
    reply = storage.read_json(str(result_file)) if result_file.exists() else {}
    if "result" in reply:
        return CalibrateResult.model_validate(reply["result"])
    if "error" in reply:
        raise error_of(STEP, reply["error"])
    raise ended_without_result(STEP, child.returncode, log)
