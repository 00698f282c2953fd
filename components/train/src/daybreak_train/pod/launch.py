"""How many processes train and how they are started.

Owns the torchrun command line and the merging of what its processes leave behind. Imports nothing heavy.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from daybreak_contracts import errors
from daybreak_contracts import launch as contracts_launch
from daybreak_contracts.ports import free_port
from daybreak_contracts.steps import TrainArgs
from daybreak_train.pod import environment

ORDER = {errors.EXIT_USER: 0, errors.EXIT_TRANSIENT: 1}
"""Which error explains more, by exit code: the user's fault, then the world's; anything else follows from another."""
FOLLOWS = 2
"""The order of an error that may follow from another rank's end ("Connection reset by peer")."""
SHUTDOWN_S = 3600
"""How long torchrun waits for ranks that save after SIGTERM (its default is 30 s, whatever they hold); in a cluster the
pod's grace period ends first, and it follows from the state's size."""
PROCESSES_VARIABLE = "DAYBREAK_TRAIN_PROCESSES"
"""Overrides the number of processes on this machine; for tests and for CPUs with several memory nodes."""


def processes_for(args: TrainArgs, environ: Mapping[str, str]) -> int:
    """Return the processes to start on this machine; 1 means this very process trains.

    One process a GPU. On a CPU one process with all threads: two with one thread each were as fast on two cores
    within the noise of a busy machine (4.0 and 3.5 thousand tokens a second), but take twice the memory.
    """
    text = environ.get(PROCESSES_VARIABLE)
    if text is None:
        return max(1, args.training.gpus_per_node)
    if not text.isdecimal() or int(text) < 1:
        raise errors.UserError(f"{PROCESSES_VARIABLE} must be a whole number of at least 1, got {text!r}")
    return int(text)


def command_for(
    args_file: Path, result: Path, nproc: int, environ: Mapping[str, str] | None = None
) -> list[str]:
    """Return the command that trains with ``nproc`` processes on this machine.

    Alone, the processes meet on a free loopback port; in a training pod (``PET_*``) at the address it names.
    """
    pod = environment.pod_from(environ or {})
    if pod is None or pod.num_nodes == 1:
        meet = ["--nnodes=1", f"--master-addr={environment.LOOPBACK}", f"--master-port={free_port()}"]
    else:
        meet = [
            f"--nnodes={pod.num_nodes}",
            f"--node-rank={pod.node_rank}",
            f"--master-addr={pod.master_addr}",
            f"--master-port={pod.master_port}",
        ]
    step = ["-m", "daybreak_train", "train", "--args-file", str(args_file), "--result", str(result)]
    group = ["-m", "daybreak_train.pod.rank_group", str(ends_of_ranks(result))]
    options = [f"--nproc-per-node={nproc}", f"--shutdown-timeout={SHUTDOWN_S}"]
    return [sys.executable, *group, *meet, *options, *step]


def run(command: list[str], result: Path, environ: Mapping[str, str]) -> int:
    """Run the group to its end and return the exit code of its result; a signal to us is passed on."""
    for path in (result, ends_of_ranks(result), *result.parent.glob(f"{result.name}.rank*")):
        path.unlink(missing_ok=True)
    contracts_launch.watch_launcher(environ)
    child = {"OMP_NUM_THREADS": "1", "TORCHELASTIC_ERROR_FILE": os.devnull, **environ}
    group = subprocess.Popen(command, env=child)
    before = {number: signal.signal(number, _pass_on(group)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        code = group.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return exit_code(result, code)


def _pass_on(group: subprocess.Popen[bytes]) -> Any:
    def handler(number: int, frame: FrameType | None) -> None:
        group.send_signal(signal.SIGTERM)

    return handler


def result_of_rank(result: Path, rank: int) -> Path:
    """Return the result file of one rank; rank 0 owns the real one."""
    return result if rank == 0 else result.with_name(f"{result.name}.rank{rank}")


def ends_of_ranks(result: Path) -> Path:
    """Return the file in which the group says with which exit code each rank ended that failed first."""
    return result.with_name(f"{result.name}.ends")


def killed(ends: Mapping[int, int]) -> BaseException | None:
    """Return what to say of ranks that a signal ended, from rank to exit code; None when there are none.

    The kernel's signal 9 first: an abort on another rank may follow from it.
    """
    signals = {rank: -code for rank, code in ends.items() if code < 0}
    if not signals:
        return None
    rank = min(signals, key=lambda rank: (signals[rank] != signal.SIGKILL, rank))
    if signals[rank] == signal.SIGKILL:
        return errors.TransientError(
            f"rank {rank} was killed (signal 9), most likely out of memory: give the machine or the pod more memory; "
            "run again to go on from the last checkpoint"
        )
    return RuntimeError(f"rank {rank} was ended by signal {signals[rank]} ({_name(signals[rank])})")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _killed_text(result: Path) -> str:
    ends = ends_of_ranks(result)
    if not ends.exists():
        return ""
    error = killed({int(rank): code for rank, code in json.loads(ends.read_text()).items()})
    return "" if error is None else json.dumps({"error": errors.document_of(error)}, indent=2)


def merge(result: Path) -> None:
    """Let the error that explains most stand in the result: one rank's UserError makes the others fail anyhow."""
    best: tuple[float, str] | None = None
    left = [path.read_text() for path in sorted(result.parent.glob(f"{result.name}.rank*"))]
    whole = result.read_text() if result.exists() else ""
    for text, ahead in ((whole, 0.0), *((text, 0.0) for text in left), (_killed_text(result), 0.5)):
        document = json.loads(text) if text else {}
        if "error" in document:
            order = ORDER.get(document["error"]["exitCode"], FOLLOWS) - ahead
            best = min(best or (3, ""), (order, text))
    if best is not None:
        temporary = result.with_name(f".{result.name}.{os.getpid()}.tmp")
        temporary.write_text(best[1])
        temporary.replace(result)


def exit_code(result: Path, code: int) -> int:
    """Return the exit code that the merged result speaks of, or the group's own if it left none."""
    merge(result)
    if not result.exists():
        if code == errors.EXIT_OK and any(result.parent.glob(f"{result.name}.rank*")):
            return errors.EXIT_OK  # a node without rank 0: its ranks left results, and none an error
        return code if code > 0 else errors.EXIT_BUG
    document = json.loads(result.read_text())
    return int(document["error"]["exitCode"]) if "error" in document else errors.EXIT_OK
