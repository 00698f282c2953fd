"""The train room's command line: steps ``train``, ``export`` and ``calibrate``.

``train`` starts its own torchrun when more than one process is wanted; inside torchrun (or PyTorchJob) it is a rank.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from daybreak_contracts import errors, steps
from daybreak_contracts.launch import PROGRESS_FILE
from daybreak_contracts.progress import Progress
from daybreak_contracts.result_reporter import RESULTS_CONFIGMAP
from daybreak_train import faults, run_key
from daybreak_train.pod import environment, launch


def _train(args: steps.TrainArgs, progress: Progress) -> steps.TrainResult:
    manifests = run_key.read_manifests(args)
    key = run_key.key_of(args, manifests)
    present = run_key.find_trained(args, key)
    if present is not None:
        return present
    from daybreak_train.silence import silence_libraries

    silence_libraries()
    if environment.placement_from(os.environ).is_leader:
        progress.report("loading torch and Composer")
    from daybreak_train.loop.trainer import run_train

    return run_train(args, manifests, key, progress)


def _scene() -> faults.FaultScene:
    rank = environment.placement_from(os.environ).rank
    return faults.FaultScene(f"rank {rank}", socket.gethostname(), num_steps=0)


def _explained(perform: Callable[[Any, Progress], Any]) -> Callable[[Any, Progress], Any]:
    """Return the step with its last error told by who can mend it."""

    def performing(args: Any, progress: Progress) -> Any:
        with faults.explaining(_scene):
            return perform(args, progress)

    return performing


def _export(args: steps.ExportArgs, progress: Progress) -> steps.ExportResult:
    from daybreak_train.export.step import run_export

    return run_export(args, progress)


def _calibrate(args: steps.CalibrateArgs, progress: Progress) -> steps.CalibrateResult:
    from daybreak_train.silence import silence_libraries

    silence_libraries()
    from daybreak_train.calibration.step import run_calibrate

    return run_calibrate(args, progress)


STEPS = {
    "calibrate": steps.Step(steps.CalibrateArgs, _explained(_calibrate)),
    "train": steps.Step(steps.TrainArgs, _explained(_train)),
    "export": steps.Step(steps.ExportArgs, _explained(_export)),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one step and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] != "train":
        return steps.main(STEPS, argv)
    options, _ = _options().parse_known_args(argv[1:])
    if options.args_file is None or options.result is None:
        return steps.main(STEPS, argv)
    if "RANK" in os.environ:
        return _as_rank(argv, options.result)
    nproc = _processes(options.args_file)
    if nproc > 1 or environment.pod_from(os.environ) is not None:
        command = launch.command_for(options.args_file, options.result, nproc, os.environ)
        return launch.run(command, options.result, os.environ)
    return steps.main(STEPS, argv)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--args-file", type=Path)
    parser.add_argument("--result", type=Path)
    return parser


def _processes(args_file: Path) -> int:
    """Return how many processes are wanted; arguments that can't be read are left for the step to complain of."""
    try:
        args = steps.TrainArgs.model_validate_json(args_file.read_bytes())
    except (OSError, ValueError):
        return 1
    return launch.processes_for(args, os.environ)


def _as_rank(argv: list[str], result: Path) -> int:
    rank = environment.placement_from(os.environ).rank
    mine = launch.result_of_rank(result, rank)
    if rank > 0:
        for name in (PROGRESS_FILE, RESULTS_CONFIGMAP):  # one process answers for the group
            os.environ.pop(name, None)
    try:
        return steps.main(STEPS, [*argv, "--result", str(mine)])
    finally:
        launch.merge(result)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except errors.DaybreakError as error:
        print(f"train: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
