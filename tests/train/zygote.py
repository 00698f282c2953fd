"""Starts training processes by fork from one that has imported everything: tests kill many of them.

One JSON object a line: ``{"start": {"argv": [...], "environ": {...}, "stderr": path, "step_s": s}}`` answers
``{"pid": n}``, ``{"wait": pid}`` answers ``{"code": n}`` (negative: killed by that signal). ``step_s`` is the least
time of a step: a fast machine would be done before anyone could kill it in the middle. ``shard_from`` is the number of
parameters from which a model lies in parts.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def slow_down(step_s: float) -> None:
    """Let every step take that long, by a ledger that is slow to write."""
    from daybreak_train.loop.ledger import Ledger, LedgerEntry

    append = Ledger.append

    def slowly(self: Ledger, entry: LedgerEntry) -> None:
        time.sleep(step_s)
        append(self, entry)

    Ledger.append = slowly  # type: ignore[method-assign]


FAULT = "DAYBREAK_TEST_FAULT"
"""In a training's environment: JSON of a fault, ``{"kind": "nan"|"random"|"repeated", "steps": [n], "rank": r}``."""


def plant(fault: dict[str, object]) -> None:
    """Spoil the batches of some steps (from 1), or their loss, of one rank or of all: as a bad disk or chip would."""
    import torch

    from daybreak_train.loop.callbacks import StepCallback
    from daybreak_train.loop.composer_adapter import ComposerLlama

    began, forward = StepCallback.batch_start, ComposerLlama.forward
    rank = fault.get("rank")
    struck = set(fault["steps"]) if rank in {None, int(os.environ.get("RANK", "0"))} else set()  # type: ignore[call-overload]
    now = [0]

    def batch_start(self: StepCallback, state: object, logger: object) -> None:
        now[0] = self.outcome.step + 1
        began(self, state, logger)

    def spoilt(self: ComposerLlama, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if now[0] not in struck:
            return forward(self, batch)
        if fault["kind"] == "nan":
            return forward(self, batch) * float("nan")
        made = torch.Generator().manual_seed(now[0])
        ids = torch.randint(0, 500, batch["tokens"].shape, generator=made)
        ids = ids if fault["kind"] == "random" else torch.full_like(ids, 300)
        return forward(self, {**batch, "tokens": ids, "labels": ids.roll(-1, 1)})

    StepCallback.batch_start, ComposerLlama.forward = batch_start, spoilt  # type: ignore[method-assign]


WAITS = "DAYBREAK_TEST_WAITS"
"""In a training's environment: the file that gets how often which function asked a tensor for a value."""


@contextlib.contextmanager
def counting_waits(file: str) -> Iterator[None]:
    """Count what a GPU would be waited for; a function is known by its file and name."""
    from torch.utils._python_dispatch import TorchDispatchMode

    asked = {"_local_scalar_dense", "nonzero", "is_nonzero", "equal", "unique_consecutive"}
    found: Counter[str] = Counter()

    class Waits(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func.overloadpacket.__name__ in asked:
                frame: Any = sys._getframe(1)
                while "/torch/" in frame.f_code.co_filename:
                    frame = frame.f_back
                found[f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}"] += 1
            return func(*args, **(kwargs or {}))

    with Waits():
        yield
    Path(file).write_text(json.dumps(found))


def shard_from(parameters: int) -> None:
    """Let models of so many parameters lie in parts over the processes."""
    import functools

    from daybreak_train.loop import trainer

    trainer.run_train = functools.partial(trainer.run_train, shard_from=parameters)  # type: ignore[assignment]


PASS = "DAYBREAK_TEST_SAMPLES_A_PASS"
"""In a training's environment: how many samples go through the model at once, as if no more had room."""


def narrow(samples: int) -> None:
    """Let a step be several micro-batches."""
    from daybreak_contracts.planning import recipe

    fits = recipe.micro_batch
    recipe.micro_batch = lambda *given, **named: min(samples, fits(*given, **named))


def child(request: dict[str, object]) -> None:
    log = os.open(str(request["stderr"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(request["environ"])  # type: ignore[call-overload]
    code = 1
    try:
        from daybreak_train.__main__ import main

        if request["step_s"]:
            slow_down(float(request["step_s"]))  # type: ignore[arg-type]
        if FAULT in os.environ:
            plant(json.loads(os.environ[FAULT]))
        if request.get("shard_from") is not None:
            shard_from(int(request["shard_from"]))  # type: ignore[call-overload]
        if PASS in os.environ:
            narrow(int(os.environ[PASS]))
        waits = os.environ.get(WAITS)
        with counting_waits(waits) if waits else contextlib.nullcontext():
            code = main(request["argv"])  # type: ignore[arg-type]
    except BaseException as error:  # noqa: BLE001 - a forked child must never return into the server
        traceback.print_exc()
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
    # as at the end of an interpreter: threads are joined, then the handlers run
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    os._exit(code)


def serve() -> None:
    # What a training imports on its way as well: by each child anew it would be a second of the two that it takes.
    import alembic.command  # noqa: F401
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401

    import daybreak_train.loop.trainer  # noqa: F401

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            child(request["start"])
        print(json.dumps({"pid": pid}), flush=True)


if __name__ == "__main__":
    os.environ.update(
        {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "TOKENIZERS_PARALLELISM": "false"}
    )
    serve()
