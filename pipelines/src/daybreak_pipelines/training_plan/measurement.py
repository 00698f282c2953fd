"""What a training takes on this machine: the train room's step ``calibrate`` in a child process.

Owns what a measurement becomes in the plan. The step owns what is measured.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from daybreak_contracts import arguments, storage
from daybreak_contracts.errors import UserError
from daybreak_contracts.errors import read as error_from
from daybreak_contracts.planning.plan import TrainingPlan
from daybreak_contracts.planning.throughput import MEASURED, Throughput
from daybreak_contracts.resources import TrainingRun
from daybreak_contracts.steps import CalibrateArgs, CalibrateResult


def measured(run: TrainingRun, settings: arguments.RunSettings, plan: TrainingPlan) -> Throughput:
    """Train one process's share of twenty steps and return what all processes together would do."""
    processes = plan.nodes * max(1, plan.gpus_per_node)
    alone = {"nodes": 1, "gpus_per_node": min(1, plan.gpus_per_node)}
    with tempfile.TemporaryDirectory(prefix="daybreak-calibration-") as folder:
        args = CalibrateArgs(
            output=folder,
            work_dir=folder,
            cores=settings.cores,
            model=run.spec.model,
            training=run.spec.training.model_copy(update=alone),
            vocabulary_size=plan.vocabulary_size,
            samples_per_step=-(-plan.samples_per_step // processes),
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
    return one.over(processes)


def _calibrated(args: CalibrateArgs, folder: Path) -> CalibrateResult:
    args_file, result_file, log = folder / "args.json", folder / "result.json", folder / "log.txt"
    args_file.write_text(args.model_dump_json())
    command = [sys.executable, "-m", "daybreak_train", "calibrate"]
    command += ["--args-file", str(args_file), "--result", str(result_file)]
    with log.open("wb") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False).returncode
    reply = storage.read_json(str(result_file)) if result_file.exists() else {}
    if "result" in reply:
        return CalibrateResult.model_validate(reply["result"])
    if "error" in reply:
        raise error_from(reply["error"])
    last = log.read_text(errors="replace").splitlines()[-5:]
    raise UserError(f"--measure: the twenty steps ended with exit code {code}: {' '.join(last)}")
