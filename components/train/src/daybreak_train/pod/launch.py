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
from daybreak_train import faults
from daybreak_train.pod import environment

SHUTDOWN_S = 3600
"""How long torchrun waits for ranks that save after SIGTERM (its default is 30 s, whatever they hold); in a cluster the
pod's grace period ends first, and it follows from the state's size."""
MORE_MEMORY = "most likely out of memory: give the machine or the pod more memory"
MORE_SHARED_MEMORY = (
    "most likely memory that processes share is full: give /dev/shm more (docker run --shm-size=8g)"
)
SIGNALS: Mapping[int, tuple[type[errors.TransientError], str]] = {
    signal.SIGKILL: (errors.TransientError, f"was killed (signal 9), {MORE_MEMORY}"),
    signal.SIGBUS: (errors.TransientError, f"was ended by signal 7 (SIGBUS), {MORE_SHARED_MEMORY}"),
    signal.SIGABRT: (
        faults.PeerLostError,
        "was ended by signal 6 (SIGABRT), as torch does when GPUs' collectives fail",
    ),
    signal.SIGTERM: (faults.PeerLostError, "was told to stop (SIGTERM)"),
}
"""What it mostly means when this signal ends a rank. Others, as SIGSEGV, are bugs."""
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
    """Return the file in which the group says with which exit codes the first ranks ended that failed, or its error."""
    return result.with_name(f"{result.name}.ends")


def killed(ends: Mapping[int, int]) -> BaseException | None:
    """Return what to say of ranks that a signal ended, from rank to exit code; None when there are none.

    The kernel's signal 9 first, an abort last: it may follow from any of the others.
    """
    signals = {rank: -code for rank, code in sorted(ends.items()) if code < 0}
    said = [
        _of_signal(f"rank {rank}", number) for rank, number in signals.items() if number == signal.SIGKILL
    ]
    said += [_of_signal(f"rank {rank}", number) for rank, number in signals.items()]
    return min(said, key=lambda error: faults.order_of(errors.document_of(error)), default=None)


def _of_signal(who: str, number: int) -> Exception:
    if number not in SIGNALS:
        return RuntimeError(f"{who} was ended by signal {number} ({_name(number)})")
    kind, words = SIGNALS[number]
    return kind(f"{who} {words}; {faults.GO_ON}")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _text_of_group(result: Path) -> str:
    """Return what the group itself says of its end as a result's text; empty when it says nothing."""
    note = ends_of_ranks(result)
    found = json.loads(note.read_text()) if note.exists() else {}
    if "error" in found:
        return json.dumps(found, indent=2)
    error = killed({int(rank): code for rank, code in found.items()})
    return "" if error is None else json.dumps({"error": errors.document_of(error)}, indent=2)


def merge(result: Path) -> None:
    """Let the error that explains most stand in the result: one rank's UserError makes the others fail anyhow."""
    best: tuple[float, str] | None = None
    left = [path.read_text() for path in sorted(result.parent.glob(f"{result.name}.rank*"))]
    whole = result.read_text() if result.exists() else ""
    for text, ahead in ((whole, 0.0), *((text, 0.0) for text in left), (_text_of_group(result), 0.5)):
        document = json.loads(text) if text else {}
        if "error" in document:
            order = faults.order_of(document["error"]) - ahead
            if best is None or order < best[0]:  # of two equals that of the lower rank
                best = (order, text)
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
        if code >= 0:
            return code or errors.EXIT_BUG
        errors.write(result, _of_signal("torchrun, which starts the ranks,", -code))
    document = json.loads(result.read_text())
    return int(document["error"]["exitCode"]) if "error" in document else errors.EXIT_OK
